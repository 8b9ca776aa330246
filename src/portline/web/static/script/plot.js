// A plot of the rates of one connection with axes, by uPlot.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { bytes } from "./formats.js";

const HEIGHT = 150;
const SPAN = 180; // seconds, also while there is less to show

/** Put a plot into `box`; returns {update(rates), end()}. */
export function plot(box) {
  let chart = null;
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function make(data) {
    chart?.destroy();
    const axis = {
      stroke: style("--ink-soft"),
      grid: { stroke: style("--rule"), width: 1 },
      ticks: { stroke: style("--rule"), width: 1, size: 4 },
      font: `11px ${style("--sans")}`,
    };
    const series = (label, colour) => ({
      label,
      stroke: style(colour),
      width: 1.5,
      points: { show: false },
      value: (_, value) => (value === null ? "–" : `${bytes(value)}/s`),
    });
    chart = new uPlot(
      {
        width: Math.max(200, box.clientWidth),
        height: HEIGHT,
        cursor: { points: { size: 5 } },
        legend: { show: true, live: true },
        scales: {
          x: { range: (_, low, high) => [Math.min(low, high - SPAN), high] },
          y: { range: (_, low, high) => [0, Math.max(10, high * 1.1)] },
        },
        axes: [
          {
            ...axis,
            space: 70,
            values: [
              [60, "{HH}:{mm}", null, null, null, null, null, null, 1],
              [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1],
            ],
          },
          { ...axis, size: 66, space: 36, values: (_, ticks) => ticks.map((tick) => `${bytes(tick)}/s`) },
        ],
        series: [
          { value: "{HH}:{mm}:{ss}" },
          series("from the port", "--heard"),
          series("to the port", "--spoken"),
        ],
      },
      data,
      box,
    );
  }

  let last = [[], [], []];
  const again = () => make(last);
  const resized = new ResizeObserver(() => {
    if (chart && box.clientWidth) chart.setSize({ width: Math.max(200, box.clientWidth), height: HEIGHT });
  });
  resized.observe(box);
  window.addEventListener("shade", again);
  return {
    update({ at, heard, spoken }) {
      last = [at.slice(), heard.slice(), spoken.slice()];
      if (!chart) make(last);
      else chart.setData(last);
    },
    end() {
      resized.disconnect();
      window.removeEventListener("shade", again);
      chart?.destroy();
    },
  };
}
