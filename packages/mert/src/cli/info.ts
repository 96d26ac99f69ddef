import { openDevice } from '@dawnchorus/tensor';

/** Prints what the adapter is and offers. */
export async function infoCommand({ json = false }: { json?: boolean }): Promise<void> {
  const device = await openDevice(json ? { log() {} } : { log: (line) => console.log(line) });
  const features = [...device.features].sort();
  const limits: Record<string, number> = {};
  for (const name in device.limits) {
    const value = device.limits[name as keyof GPUSupportedLimits];
    if (typeof value === 'number') limits[name] = value;
  }
  if (json) {
    console.log(JSON.stringify({ adapter: device.adapter, features, limits }, null, 2));
  } else {
    console.log(`features: ${features.join(', ')}`);
    const { subgroupSizes, matrixUnits } = device.adapter;
    if (subgroupSizes) console.log(`subgroups: ${[...new Set(subgroupSizes)].join(' to ')} threads`);
    const units = matrixUnits.map(({ component, result, M, N, K }) => `${component} -> ${result} ${M}x${N}x${K}`);
    console.log(`matrix units: ${units.join(', ') || 'none'}`);
    console.log('limits:');
    for (const name of Object.keys(limits).sort()) console.log(`  ${name}: ${limits[name]}`);
  }
  device.close();
}
