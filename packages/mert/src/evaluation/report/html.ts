/** report.html: one file that needs no other, with scores by class, confusion matrices and curves over layers. */
import type { EvaluationReport, TaskReport } from '../evaluate.ts';
import type { ProbeResult } from '../probe/probe.ts';
import { publishedModels } from '../published.ts';
import { columnsOf, countsOf, footnotes, formatScore, metricsOf, tableRows } from './table.ts';

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const style = `
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1200px; padding: 0 1rem; color: #1d2129; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; border-top: 1px solid #d8dce3; padding-top: 1rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; } .wide { overflow-x: auto; }
th, td { padding: 0.25rem 0.6rem; text-align: right; border-bottom: 1px solid #e8ebf0; white-space: nowrap; }
th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left; } .plain th:nth-child(n+2), .plain td:nth-child(n+2) { text-align: right; }
tr.first td { border-top: 2px solid #c4cad4; } td.own { font-weight: 600; background: #f2f7ff; } td.published, th.published { color: #687385; }
.proxy { display: inline-block; font-size: 11px; padding: 0 0.4rem; border-radius: 4px; background: #fff0d6; color: #7a4b00; }
.row { display: flex; flex-wrap: wrap; gap: 2rem; align-items: flex-start; } .note { color: #687385; font-size: 13px; } .bar { fill: #3f74c4; } .track { fill: #eef1f6; }
svg text { font: 11px system-ui, sans-serif; fill: #1d2129; } svg .soft { fill: #687385; } .failed { color: #a4262c; }
`;

function overview(report: EvaluationReport): string {
  const columns = columnsOf(report);
  const models = publishedModels;
  let before = '';
  const rows = tableRows(report).map(({ task, data, metric, cells, chance, published: others }) => {
    const key = `${task} ${data}`;
    const first = key !== before;
    before = key;
    const own = columns.map((name, i) => {
      const cell = cells[name];
      return `<td${i === 0 ? ' class="own"' : ''}>${cell ? formatScore(metric, cell.mean, cell.spread) : ''}</td>`;
    });
    const theirs = models.map((model) => {
      const value = others[model];
      return `<td class="published">${value === undefined ? '' : formatScore(metric, value)}</td>`;
    });
    return `<tr${first ? ' class="first"' : ''}><td>${first ? escape(task) : ''}</td><td>${first ? escape(data) : ''}</td><td>${escape(metric)}</td>${own.join('')}<td>${chance === undefined ? '' : formatScore(metric, chance)}</td>${theirs.join('')}</tr>`;
  });
  const heads = [
    ...['task', 'data', 'metric', ...columns, 'chance'].map((name) => `<th>${escape(name)}</th>`),
    ...models.map((model) => `<th class="published">${model}<br>published</th>`),
  ];
  return `<div class="wide"><table><thead><tr>${heads.join('')}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`;
}

const [BAR_WIDTH, BAR_HEIGHT] = [180, 16];

function perClass({ perClass: classes }: ProbeResult): string {
  if (classes.length === 0) return '';
  const names = Object.keys(classes[0].values);
  const rows = classes
    .filter(({ examples }) => examples > 0)
    .map(({ name, values, examples }) => {
      const bars = names.map((metric) => {
        const value = values[metric];
        if (value === null) return '<td>–</td><td></td>';
        const share = Math.max(0, Math.min(1, metric.startsWith('sdr') ? value / 20 : value));
        return `<td>${formatScore(metric, value)}</td><td><svg width="${BAR_WIDTH}" height="${BAR_HEIGHT}" role="img" aria-label="${formatScore(metric, value)}"><rect class="track" width="${BAR_WIDTH}" height="${BAR_HEIGHT - 4}" y="2" rx="2"/><rect class="bar" width="${(share * BAR_WIDTH).toFixed(1)}" height="${BAR_HEIGHT - 4}" y="2" rx="2"/></svg></td>`;
      });
      return `<tr><td>${escape(name)}</td><td>${examples}</td>${bars.join('')}</tr>`;
    });
  const heads = names.map((name) => `<th>${escape(name)}</th><th></th>`);
  return `<div><h3>By class</h3><table class="plain"><thead><tr><th>class</th><th>in the test</th>${heads.join('')}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`;
}

const MATRIX_SIZE = 460;

function confusion({ confusion: matrix, classNames }: ProbeResult): string {
  if (!matrix) return '';
  // Classes that neither occur nor were guessed are left out.
  const shown = [...classNames.keys()].filter((k) => matrix[k].some((n) => n > 0) || matrix.some((row) => row[k] > 0));
  const size = Math.min(28, MATRIX_SIZE / Math.max(1, shown.length));
  const margin = 12 + 6.2 * Math.max(...shown.map((k) => classNames[k].length));
  const cells = shown.flatMap((row, i) => {
    const total = matrix[row].reduce((sum, n) => sum + n, 0);
    return shown.map((column, j) => {
      const count = matrix[row][column];
      const share = total > 0 ? count / total : 0;
      const box = `<rect x="${(margin + j * size).toFixed(1)}" y="${(margin + i * size).toFixed(1)}" width="${(size - 1).toFixed(1)}" height="${(size - 1).toFixed(1)}" fill="rgb(${[255, 255, 255].map((white, c) => Math.round(white + share * ([31, 78, 158][c] - white))).join(',')})" stroke="#e8ebf0" stroke-width="0.5"><title>${escape(classNames[row])} taken for ${escape(classNames[column])}: ${count} of ${total}</title></rect>`;
      const text =
        size >= 18 && count > 0
          ? `<text x="${(margin + (j + 0.5) * size).toFixed(1)}" y="${(margin + (i + 0.5) * size + 4).toFixed(1)}" text-anchor="middle" style="fill:${share > 0.5 ? '#fff' : '#1d2129'}">${count}</text>`
          : '';
      return box + text;
    });
  });
  const labels = shown.flatMap((k, i) => {
    const middle = margin + (i + 0.5) * size + 4;
    if (size < 10) return [];
    return [
      `<text x="${margin - 6}" y="${middle.toFixed(1)}" text-anchor="end">${escape(classNames[k])}</text>`,
      `<text transform="translate(${middle.toFixed(1)} ${margin - 6}) rotate(-90)">${escape(classNames[k])}</text>`,
    ];
  });
  const side = margin + shown.length * size + 4;
  return `<div><h3>Confusions</h3><svg width="${side.toFixed(0)}" height="${side.toFixed(0)}" role="img" aria-label="confusion matrix">${labels.join('')}${cells.join('')}</svg><p class="note">rows: true classes; columns: what they were taken for; of the first seed</p></div>`;
}

const [CURVE_WIDTH, CURVE_HEIGHT, LEFT, BOTTOM] = [460, 220, 48, 34];

function layerCurve(task: TaskReport, { layers, chosen }: ProbeResult): string {
  if (layers.length < 2) return '';
  const [metric] = metricsOf(task);
  const lines = [
    { name: 'validation (chooses)', colour: '#3f74c4', values: layers.map(({ valid }) => valid) },
    { name: 'test (chooses nothing)', colour: '#c4703f', values: layers.map(({ test }) => test[metric]) },
  ];
  const all = lines.flatMap(({ values }) => values);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const space = Math.max(0.01, 0.1 * (high - low));
  const [bottom, top] = [low - space, high + space];
  const x = (i: number) => LEFT + (i / (layers.length - 1)) * (CURVE_WIDTH - LEFT - 12);
  const y = (value: number) => 28 + ((top - value) / (top - bottom)) * (CURVE_HEIGHT - BOTTOM - 28);
  const drawn = lines.map(({ colour, values }) => {
    const points = values.map((value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`);
    const dots = points.map(
      (point) => `<circle cx="${point.split(',')[0]}" cy="${point.split(',')[1]}" r="3" fill="${colour}"/>`,
    );
    return `<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>${dots.join('')}`;
  });
  const ticks = [0, 0.5, 1].map((share) => {
    const value = bottom + share * (top - bottom);
    return `<line x1="${LEFT}" x2="${CURVE_WIDTH - 12}" y1="${y(value).toFixed(1)}" y2="${y(value).toFixed(1)}" stroke="#e8ebf0"/><text class="soft" x="${LEFT - 6}" y="${(y(value) + 4).toFixed(1)}" text-anchor="end">${formatScore(metric, value)}</text>`;
  });
  const names = layers.map(({ layer }, i) => {
    const bold = layer === chosen.layer ? ' style="font-weight:700"' : '';
    return `<text x="${x(i).toFixed(1)}" y="${CURVE_HEIGHT - 14}" text-anchor="middle"${bold}>${layer === 'weighted' ? 'sum' : layer}</text>`;
  });
  const legend = lines.map(
    ({ name, colour }, i) =>
      `<rect x="${LEFT + i * 170}" y="6" width="10" height="10" fill="${colour}"/><text x="${LEFT + 15 + i * 170}" y="15">${name}</text>`,
  );
  return `<div><h3>By layer: ${escape(metric)}</h3><svg width="${CURVE_WIDTH}" height="${CURVE_HEIGHT}" role="img" aria-label="score by layer">${ticks.join('')}${drawn.join('')}${names.join('')}${legend.join('')}</svg></div>`;
}

function section(task: TaskReport): string {
  const badge = task.proxy ? ' <span class="proxy">proxy</span>' : '';
  const failed = task.failed.map(({ name, error }) => `<p class="failed">${escape(name)} failed: ${escape(error)}</p>`);
  const head = `<h2 id="${escape(task.task)}">${escape(task.task)}: ${escape(task.data)}${badge}</h2>`;
  const [main] = task.results;
  if (!main) return head + failed.join('');
  const { result } = main;
  const { clips, chosen, seconds, notes } = result;
  const details = Object.entries(chosen.details).map(([name, value]) => `, ${name} ${value}`);
  const facts = `${escape(main.name)}: ${clips.train} clips to learn from, ${clips.valid} to choose by, ${clips.test} in the test; layer ${chosen.layer}, rate ${chosen.rate}${escape(details.join(''))}; ${seconds.heads.toFixed(0)} s of learning`;
  const remarks = notes.map((note) => `<p class="note">${escape(note)}</p>`);
  return `${head}<p>${facts}</p>${remarks.join('')}${failed.join('')}<div class="row">${layerCurve(task, result)}${confusion(result)}${perClass(result)}</div>`;
}

/** report.html */
export function htmlReport(report: EvaluationReport): string {
  const title = `${report.model}: music understanding`;
  const counts = countsOf(report);
  const notes = footnotes(report).map((note) => `<li>${escape(note)}</li>`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escape(title)}</title><style>${style}</style></head>
<body><h1>${escape(title)}</h1><p>${counts}</p>
${overview(report)}
<ul class="note">${notes.join('')}</ul>
${report.tasks.map(section).join('\n')}
</body></html>
`;
}
