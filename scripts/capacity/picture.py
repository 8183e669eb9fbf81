"""The picture of a run: connections, CPU and memory over time."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from scripts.capacity.machine import Series, Watch

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "capacity"
mpl.rcParams["path.simplify_threshold"] = 0.8

from matplotlib import pyplot  # noqa: E402 - after the choice of what draws

COLOURS = {"server": "tab:blue", "PostgreSQL": "tab:orange", "simulator": "tab:grey"}
_SMOOTHED = 3


def draw(image: Path, watch: Watch) -> None:
    """Draw what a watch has seen into an SVG file. Raises OSError."""
    figure, (online, cpu, memory) = pyplot.subplots(
        3, 1, figsize=(10, 8), sharex=True, layout="constrained"
    )
    connections = watch.others["online"]
    online.plot(connections.seconds, connections.values, color="tab:green")
    online.set_ylabel("charging points online")
    for name, series in watch.cpu.items():
        smooth = _smooth(series)
        cpu.plot(smooth.seconds, smooth.values, label=name, color=COLOURS.get(name))
    cpu.set_ylabel("CPU, cores")
    cpu.legend(loc="upper left", fontsize="small", ncols=3)
    for name, series in watch.memory.items():
        memory.plot(
            series.seconds,
            [value / 1e6 for value in series.values],
            label=name,
            color=COLOURS.get(name),
        )
    memory.set_ylabel("PSS, MB")
    memory.set_xlabel("seconds")
    for axes in (online, cpu, memory):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        for second, _ in watch.marks:
            axes.axvline(second, color="black", linewidth=0.5, linestyle=":")
    top = online.get_ylim()[1]
    for second, text in watch.marks:
        online.text(second, top, f" {text}", rotation=60, fontsize="x-small", va="bottom")
    figure.savefig(image, metadata={"Date": None})
    pyplot.close(figure)


def _smooth(series: Series) -> Series:
    """Return the mean of every few values: a picture of twelve minutes needs no single seconds."""
    smooth = Series()
    for start in range(0, len(series.values), _SMOOTHED):
        values = series.values[start : start + _SMOOTHED]
        smooth.add(series.seconds[start], sum(values) / len(values))
    return smooth
