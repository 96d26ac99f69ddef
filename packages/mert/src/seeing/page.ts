/** A run as one HTML page that needs nothing else. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { openSafetensors } from '@dawnchorus/formats';
import { stringify } from 'yaml';
import { nameWithin } from '../data/collection.ts';
import type { SkippedFile } from '../data/dataset.ts';
import { toSvg } from '../pictures/svg.ts';
import { drawUsage } from '../pictures/usage.ts';
import { formatDuration } from '../training/progress.ts';
import type { HeldOut } from '../training/validation.ts';
import { chartsOf } from './charts.ts';
import type { Picture } from './pictures.ts';
import type { Run } from './run.ts';

const escape = (text: unknown) =>
  String(text).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');

/** How often each code was asked for, of the last checkpoint: [codebooks] of [entries]. */
async function labelCounts(run: Run): Promise<{ counts: Float32Array }[]> {
  if (!run.checkpoint) return [];
  const file = await openSafetensors(join(run.checkpoint.folder, 'training.safetensors')).catch(() => undefined);
  if (!file) return [];
  try {
    const name = 'statistics.label_counts';
    const entry = file.tensors.get(name);
    if (!entry) return [];
    const { data } = await file.read(name);
    const [codebooks, size] = entry.shape;
    return Array.from({ length: codebooks }, (_, i) => ({
      counts: (data as Float32Array).subarray(i * size, (i + 1) * size),
    }));
  } finally {
    await file.close();
  }
}

function table(rows: readonly (readonly [string, unknown])[]): string {
  return `<table>${rows.map(([name, value]) => `<tr><th>${escape(name)}</th><td>${escape(value)}</td></tr>`).join('')}</table>`;
}

const style = `
:root { color-scheme: light; font: 15px/1.5 system-ui, sans-serif; color: #1c2430; background: #f6f7f9; }
body { margin: 0 auto; max-width: 1320px; padding: 24px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 36px 0 10px; border-bottom: 1px solid #d6dae1; }
.sub { color: #5b6675; margin: 0 0 18px; } .cards { display: flex; flex-wrap: wrap; gap: 12px; }
.card { background: #fff; border: 1px solid #dfe3e9; border-radius: 8px; padding: 10px 16px; min-width: 120px; }
.card b { display: block; font-size: 20px; } .card span { color: #5b6675; font-size: 13px; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(600px, 1fr)); gap: 16px; }
.chart, figure { background: #fff; border: 1px solid #dfe3e9; border-radius: 8px; padding: 8px; margin: 0 0 16px; overflow: auto; }
.chart { margin: 0; } figcaption { padding: 4px 8px; font-weight: 600; } figure svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; background: #fff; } th, td { border: 1px solid #dfe3e9; padding: 4px 10px; text-align: left; }
th { font-weight: 500; color: #47515f; } pre { background: #fff; border: 1px solid #dfe3e9; border-radius: 8px; padding: 12px; overflow: auto; }
.u-legend { font-size: 12px; max-height: 84px; overflow-y: auto; } nav a { margin-right: 14px; color: #2c5fa8; }
`;

const script = `
const colors = ['#1f77b4','#d62728','#2ca02c','#9467bd','#ff7f0e','#17becf','#8c564b','#e377c2','#7f7f7f','#bcbd22'];
const sync = uPlot.sync('steps');
for (const [i, chart] of charts.entries()) {
  const place = document.getElementById('chart-' + i);
  const narrow = chart.steps.length === 1;
  new uPlot({
    title: chart.title + (chart.unit ? ' (' + chart.unit + ')' : ''),
    width: Math.max(320, place.clientWidth - 18), height: 270,
    cursor: { sync: { key: sync.key }, drag: { x: true, y: true, uni: 30 } },
    scales: { x: { time: false }, y: chart.logarithmic ? { distr: 3 } : {} },
    axes: [{ label: 'step' }, { size: 66, values: (u, all) => all.map((v) => v === null ? '' : Math.abs(v) >= 1e5 || (v !== 0 && Math.abs(v) < 1e-3) ? v.toExponential(1) : String(Number(v.toPrecision(5)))) }],
    series: [{ label: 'step' }, ...chart.series.map((one, k) => ({
      label: one.label, stroke: one.dashed ? '#888' : colors[k % colors.length], width: one.dashed ? 1 : 1.5,
      dash: one.dashed ? [6, 4] : undefined, spanGaps: false, points: { show: narrow || chart.steps.length < 40 },
      value: (u, v) => v === null || v === undefined ? '–' : Number(v.toPrecision(5)),
    }))],
  }, [chart.steps, ...chart.series.map((one) => chart.logarithmic ? one.values.map((v) => v > 0 ? v : null) : one.values)], place);
}
`;

function summary(run: Run): [string, unknown][] {
  const last = run.metrics.at(-1) as Record<string, number> | undefined;
  const seconds = run.metrics.reduce((sum, line) => sum + (Number(line.seconds) || 0), 0);
  const waited = run.data.reduce((sum, line) => sum + (Number(line.waitedSeconds) || 0), 0);
  const stopAt = run.checkpoint?.state.stopAt;
  const digits = (value: number | undefined) => (typeof value === 'number' ? value.toPrecision(4) : '–');
  const recent = run.metrics
    .slice(-20)
    .map((line) => Number(line.clipsPerSecond))
    .filter(Number.isFinite);
  const speed = recent.reduce((sum, value) => sum + value, 0) / Math.max(1, recent.length);
  return [
    ['step', `${last?.step ?? 0}${stopAt ? ` of ${stopAt}` : ''}`],
    ['loss', digits(last?.loss)],
    ['codes, nats', digits(last?.lossRvq)],
    ['spectrum', digits(last?.lossCqt)],
    ['accuracy', last ? `${(100 * last.accuracy).toFixed(1)} %` : '–'],
    ['clips a second', digits(speed)],
    ['time in steps', formatDuration(seconds)],
    ...(run.data.length > 0 && seconds > 0
      ? [['waiting on data', `${((100 * waited) / seconds).toFixed(1)} %`] as [string, string]]
      : []),
  ];
}

/**
 * The page: summary, curves that zoom, pictures, codebook usage, files left out, and the exact configuration.
 *
 * @param pictures of `seeClip`, or why there are none.
 */
export async function runPage(run: Run, pictures: readonly Picture[] | string): Promise<string> {
  const require = createRequire(import.meta.url);
  const uPlot = require.resolve('uplot/dist/uPlot.iife.min.js');
  const [code, css] = [
    await readFile(uPlot, 'utf8'),
    await readFile(require.resolve('uplot/dist/uPlot.min.css'), 'utf8'),
  ];
  const charts = chartsOf(run);
  const counts = await labelCounts(run);
  const { music, report, checkpoint, rollbacks, running } = run;
  const held = report?.heldOut as Partial<HeldOut> | undefined;
  const nameOf = (path: string) => (music ? nameWithin(music.data, path) : path);
  const skipped = [
    ...(music?.skipped ?? (report?.skipped as SkippedFile[] | undefined) ?? []).map(
      ({ path, reason }) => [nameOf(path), reason] as const,
    ),
    ...(held?.skipped ?? []).map(({ path, reason }) => [`${nameOf(path)}, held out`, reason] as const),
  ];
  const usage = counts.some(({ counts: own }) => own.some((value) => value > 0))
    ? `<figure>${toSvg(drawUsage('how often the acoustic teacher’s codes were asked for, the most frequent first', counts))}</figure>`
    : '<p>No codes were counted yet.</p>';
  const figures =
    typeof pictures === 'string'
      ? `<p>No pictures: ${escape(pictures)}</p>`
      : pictures
          .map(({ title, scene }) => `<figure><figcaption>${escape(title)}</figcaption>${toSvg(scene)}</figure>`)
          .join('\n');
  // What was not finite is null.
  const heldRows = Object.entries({ ...held?.losses, ...held?.baselines }).map(
    ([name, value]) => [name, (value as number | null)?.toPrecision(5) ?? 'not finite'] as const,
  );
  // What would end the script inside it must not stand in it.
  const json = JSON.stringify(charts).replace(/</g, '\\u003c');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escape(run.out)}</title><style>${css}${style}</style></head><body>
<h1>Pretraining run ${escape(run.out)}</h1>
<p class="sub">${escape(music?.adapter ?? report?.adapter ?? '')}${music ? ` · ${music.files} files, ${music.hours.toFixed(2)} h, from ${escape(music.data)}` : ''} · last line written ${escape(run.changed?.toISOString() ?? '')} · ${report ? 'finished' : running ? 'running' : 'stopped or failed'}</p>
<nav><a href="#curves">Curves</a><a href="#pictures">Pictures</a><a href="#codes">Codes</a><a href="#files">Files left out</a><a href="#configuration">Configuration</a></nav>
<div class="cards">${summary(run)
    .map(([name, value]) => `<div class="card"><span>${escape(name)}</span><b>${escape(value)}</b></div>`)
    .join('')}</div>
<h2 id="curves">Curves</h2><p class="sub">Drag to zoom, double-click to see all; the cursor is at one step in all charts.</p>
<div class="charts">${charts.map((_, i) => `<div class="chart" id="chart-${i}"></div>`).join('')}</div>
${heldRows.length > 0 ? `<h2>Held out</h2>${table(heldRows)}` : ''}
${
  rollbacks.length > 0
    ? `<h2>Returns to earlier steps</h2>${table(rollbacks.map(({ fromStep, toStep, reason }) => [`${fromStep} to ${toStep}`, reason] as const))}`
    : ''
}
<h2 id="pictures">What the student makes of a clip</h2>${figures}
<h2 id="codes">Codes</h2>${usage}
<h2 id="files">Files left out</h2>${
    skipped.length === 0
      ? '<p>No file was left out.</p>'
      : `<p>${skipped.length} files were left out.</p>${table(skipped)}`
  }
<h2 id="configuration">Configuration</h2>${
    checkpoint ? `<pre>${escape(stringify(checkpoint.state.config))}</pre>` : '<p>There is no checkpoint yet.</p>'
  }
<script>${code}</script><script>const charts = ${json};${script}</script>
</body></html>
`;
}
