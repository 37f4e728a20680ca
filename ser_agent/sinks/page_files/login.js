const words = await (await fetch("texts.json")).json();
const language = (navigator.language || "en").startsWith("de") ? "de" : "en";
const { texts } = words.languages[language];
document.documentElement.lang = language;
for (const element of document.querySelectorAll("[data-text]")) element.textContent = texts[element.dataset.text];

const trouble = document.getElementById("trouble");
document.getElementById("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token: document.getElementById("token").value }),
  });
  if (answer.ok) location.reload();
  trouble.hidden = answer.ok;
  trouble.textContent = texts.wrong_token;
});
