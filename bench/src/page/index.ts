import { type DevicePeak, peakText } from '@dawnchorus/tensor';
import { engineNames } from '../engines/engine.ts';
import type { Result } from '../result.ts';
import type { Facts, Group } from '../work.ts';
import { peerBars, shareBars } from './bars.ts';
import { roofline } from './roofline.ts';
import { colours, escaped } from './svg.ts';

export interface PageEntry {
  result: Result;
  work: Pick<Facts, 'flops' | 'bytes'>;
  group: Group;
}

const titles: Readonly<Record<Group, string>> = {
  kernels: 'Kernels',
  'MERT, both sizes': 'MERT: extractor, teachers, losses',
  'MERT-95M': 'MERT-95M: a transformer layer',
  'MERT-330M': 'MERT-330M: a transformer layer',
};

function section(group: Group, entries: readonly PageEntry[], peak: DevicePeak): string {
  const beside = peerBars(entries);
  return `
<h2>${titles[group]}</h2>
<h3>Roofline</h3>
${roofline(entries, peak)}
<h3>Share of the ceiling</h3>
${shareBars(entries, peak)}
${beside && `<h3>Time beside other engines, as a multiple of ours</h3>\n${beside}`}`;
}

/** A page that needs nothing else. */
export function resultPage(entries: readonly PageEntry[], adapter: string, peak: DevicePeak): string {
  const shown = engineNames.filter((name) => entries.some(({ result }) => result.engine === name));
  const legend = shown.map((name) => {
    const on = entries.find(({ result }) => result.engine === name)?.result.adapter ?? '';
    return `<span><i style="background:${colours[name]}"></i>${name}${name === 'torch' ? ` (${escaped(on)})` : ''}</span>`;
  });
  const groups = (Object.keys(titles) as Group[]).filter((group) => entries.some((entry) => entry.group === group));
  const sections = groups.map((group) =>
    section(
      group,
      entries.filter((entry) => entry.group === group),
      peak,
    ),
  );
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>dawnchorus bench: ${escaped(adapter)}</title>
<style>
  :root { color-scheme: light dark; font: 14px system-ui, sans-serif; }
  body { max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
  svg { width: 100%; height: auto; font-size: 12px; }
  text { fill: CanvasText; }
  h2 { margin-top: 3rem; border-bottom: 1px solid color-mix(in srgb, CanvasText 25%, transparent); }
  /* A halo, for lines go through. */
  .value { font-size: 11px; fill: color-mix(in srgb, CanvasText 80%, Canvas); paint-order: stroke; stroke: Canvas; stroke-width: 3px; }
  .grid { stroke: CanvasText; opacity: 0.15; }
  .lead { stroke: CanvasText; opacity: 0.3; }
  .roof { fill: none; stroke: CanvasText; stroke-width: 2; }
  .dashed { stroke-dasharray: 7 4; }
  .thin { stroke-width: 1; }
  p.legend span { margin-right: 1.5rem; }
  i { display: inline-block; width: 0.8em; height: 0.8em; margin-right: 0.4em; border-radius: 2px; }
</style>
<h1>dawnchorus bench</h1>
<p>${escaped(adapter)}, ${new Date().toISOString().slice(0, 10)}. Every result was checked against f64 before it was timed; times are medians.
Ceilings, measured on this adapter: ${escaped(peakText(peak))}.</p>
<p>In the rooflines, which show dawnchorus alone: discs are f32 and diamonds f16; filled is forward, hollow forward and gradients;
of a shape's several batches the largest has the label, and the others are pale. A
case is compared with copying if memory bounds it, else with f32 multiply-adds, or with matrix units if it is f16 and the
adapter has some. In the shares the strong bar is forward, the pale one forward and gradients. Point at a mark or a bar for more.</p>
<p class="legend">${legend.join('')}</p>
${sections.join('\n') || '<p>Nothing was timed.</p>'}
</html>
`;
}
