// Drawings of the past: a ribbon of what prevailed, and a lane for each emotion, so that a place says what a colour says.

const SVG = "http://www.w3.org/2000/svg";
const CELLS = { 1: 60, 6: 72, 24: 96 };
const UNITS = 1000;

export function svg(tag, attributes, parent) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent?.append(element);
  return element;
}

export function within(events, hours, nowMs) {
  const sinceMs = nowMs - hours * 3600e3;
  return events.filter(([endedMs]) => endedMs > sinceMs && endedMs <= nowMs + 60e3);
}

export function countsOf(events) {
  const counts = new Map();
  for (const [, , label] of events) counts.set(label, (counts.get(label) ?? 0) + 1);
  return counts;
}

// One cell for each minute or so: the colour of the emotion with the most speech, as high as there was speech.
export function drawRibbon(place, events, hours, nowMs, colour, summary, tell) {
  const cells = CELLS[hours];
  const spanMs = (hours * 3600e3) / cells;
  const sums = Array.from({ length: cells }, () => new Map());
  for (const [endedMs, durationS, label] of events) {
    const cell = Math.floor(cells - (nowMs - endedMs) / spanMs);
    const sum = sums[Math.min(cells - 1, Math.max(0, cell))];
    sum.set(label, (sum.get(label) ?? 0) + durationS);
  }
  const drawing = svg("svg", {
    viewBox: `0 0 ${UNITS} 44`, preserveAspectRatio: "none", role: "img", "aria-label": summary });
  const width = UNITS / cells;
  sums.forEach((sum, cell) => {
    if (!sum.size) return;
    const [label, speechS] = [...sum].sort((one, other) => other[1] - one[1])[0];
    const height = 10 + 34 * Math.min(1, speechS / ((spanMs / 1000) * 0.4));
    const rect = svg("rect", {
      x: cell * width + width * 0.08, y: 44 - height, width: width * 0.84, height, rx: 1.5 }, drawing);
    rect.style.fill = colour(label);
    svg("title", {}, rect).textContent = tell(label, nowMs - (cells - cell) * spanMs);
  });
  place.replaceChildren(drawing);
}

export function lanePath(events, label, hours, nowMs) {
  const spanMs = hours * 3600e3;
  const least = UNITS * 0.0035;
  return events
    .filter((event) => event[2] === label)
    .map(([endedMs, durationS]) => {
      const width = Math.max(least, (UNITS * durationS * 1000) / spanMs);
      const x = Math.min(UNITS - width, UNITS * (1 - (nowMs - endedMs) / spanMs) - width);
      return `M${x.toFixed(1)} 3h${width.toFixed(1)}v14h-${width.toFixed(1)}z`;
    })
    .join("");
}

export function drawLane(path) {
  const drawing = svg("svg", { viewBox: `0 0 ${UNITS} 20`, preserveAspectRatio: "none", "aria-hidden": "true" });
  return [drawing, svg("path", { d: path }, drawing)];
}
