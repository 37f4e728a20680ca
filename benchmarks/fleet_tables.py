"""The tables of docs/scale.md, from what ``benchmarks.fleet`` has measured."""

from __future__ import annotations

from typing import Any

from training.markdown import table


def fleet_tables(figures: dict[str, Any]) -> dict[str, str]:
    """The tables, by the names of their markers."""
    return {
        "machine": machine_line(figures),
        "throughput": throughput_table(figures["throughput"]),
        "added": added_table(figures),
        "simulation": simulation_table(figures["simulation"]),
        "rooms": rooms_table(figures["rooms"]),
    }


def machine_line(figures: dict[str, Any]) -> str:
    """What the machine was like."""
    cores = "one core" if figures["cores"] == 1 else f"{figures['cores']} cores"
    return (
        f"**{cores}, at a load average of {figures['load_average']}.** Where that is more than there are cores, "
        "wall times are those of a crowded machine, and the processor's are what to reckon with."
    )


def throughput_table(rows: list[dict[str, Any]]) -> str:
    """What workers answered, and what that took."""
    header = ["workers", "answered a second", "processor of the workers for one", "… of the broker"]
    header += ["cores that the workers got", "what a core of their own would answer a second"]
    return table(
        header,
        [
            [
                row["workers"],
                row["answered_per_s"],
                f"{row['worker_cpu_ms']} ms",
                f"{row['broker_cpu_ms']} ms",
                row["worker_cores"],
                row["core_answers_per_s"],
            ]
            for row in rows
        ],
    )


def added_table(figures: dict[str, Any]) -> str:
    """What asking elsewhere costs, beside doing it here."""
    latency, satellite = figures["latency"], figures["satellite"]
    rows = {
        "An utterance of 3 s, classified here: least / p50 / p95": (
            "{local_least_ms} / {local_p50_ms} / {local_p95_ms} ms"
        ),
        "… by a worker, over the broker: least / p50 / p95": (
            "{remote_least_ms} / {remote_p50_ms} / {remote_p95_ms} ms"
        ),
        "Added, p50": "{added_p50_ms} ms",
        "A worker's processor for an utterance: any / for each second of it": "{any_ms} / {per_s_ms} ms",
        "FLAC, a second of speech": "{flac_bytes_per_s} bytes",
        "A satellite in silence": "{idle_bytes_per_hour} bytes an hour, {idle_cpu_percent} % of one core",
        "A satellite in the bundled conversation, {talk_s} s": (
            "{talk_bytes_up} bytes up, {talk_bytes_down} down: {talk_mb_per_hour} MB for an hour of it"
        ),
        "Memory of a satellite: resident / its own": "{resident_mib} / {own_mib} MiB",
    }
    known = {**latency, **satellite, **figures["service"], "flac_bytes_per_s": figures["flac_bytes_per_s"]}
    known["talk_mb_per_hour"] = round(satellite["talk_bytes_per_hour"] / 1e6, 1)
    return table(
        ["what", "figure"], [[what.format(**known), figure.format(**known)] for what, figure in rows.items()]
    )


def simulation_table(rows: list[dict[str, Any]]) -> str:
    """Up to 64 workers, with enough to do and with too much."""
    header = ["workers", "at most a second", "answered a second at 80 %", "latency p50 / p95", "shed"]
    header += ["at 150 %: answered a second", "shed"]
    return table(
        header,
        [
            [
                row["workers"],
                row["capacity_per_s"],
                row["answered_per_s"],
                f"{row['p50_ms']} / {row['p95_ms']} ms",
                f"{row['shed_percent']:g} %",
                row["overload_answered_per_s"],
                f"{row['overload_shed_percent']:g} %",
            ]
            for row in rows
        ],
    )


def rooms_table(rows: list[dict[str, Any]]) -> str:
    """What ten thousand rooms need."""
    header = [
        "what is said",
        "utterances of a room an hour",
        "of all a second",
        "cores busy",
        "workers of one core",
    ]
    header += ["into the broker, and out of it", "its messages a second", "a room's sound an hour"]
    return table(
        header,
        [
            [
                row["rooms"],
                row["per_hour"],
                row["asked_per_s"],
                row["busy_cores"],
                row["workers"],
                f"{row['broker_in_mbit_per_s']} Mbit/s",
                row["messages_per_s"],
                f"{row['room_mb_per_hour']} MB",
            ]
            for row in rows
        ],
    )
