/** The engine's side of images.py: what each of its cases is called here. */
import * as dc from '@dawnchorus/tensor';
import type { Golden } from './index.ts';

export const golden: Record<string, Golden> = {};

golden.conv2d = (x, weight) => dc.conv2d(x, weight);
golden['conv2d with bias'] = (x, weight, bias) => dc.conv2d(x, weight, { bias });
golden['conv2d with stride'] = (x, weight) => dc.conv2d(x, weight, { stride: [2, 3] });
golden['conv2d with padding'] = (x, weight) => dc.conv2d(x, weight, { padding: [2, 1] });
golden['conv2d with dilation'] = (x, weight) => dc.conv2d(x, weight, { dilation: [1, 3] });
golden['conv2d with groups'] = (x, weight) => dc.conv2d(x, weight, { groups: 2 });
golden['conv2d of each channel'] = (x, weight) => dc.conv2d(x, weight, { groups: 3, padding: 1 });
golden['conv2d with everything'] = (x, weight, bias) =>
  dc.conv2d(x, weight, { bias, stride: [2, 1], padding: [1, 2], dilation: [2, 1], groups: 2 });
golden['conv2d of one by one'] = golden.conv2d;
golden.convTranspose2d = (x, weight) => dc.convTranspose2d(x, weight);
golden['convTranspose2d with everything'] = (x, weight, bias) =>
  dc.convTranspose2d(x, weight, {
    ...{ bias, stride: [3, 2], padding: [1, 2], outputPadding: [2, 1], dilation: [1, 2], groups: 2 },
  });

golden.maxPool2d = (x) => dc.maxPool2d(x, 2);
golden['maxPool2d with stride and padding'] = (x) => dc.maxPool2d(x, [3, 2], { stride: [1, 2], padding: [1, 0] });
golden['maxPool2d with dilation'] = (x) => dc.maxPool2d(x, [2, 3], { stride: 1, dilation: [3, 2] });
golden['maxPool2d of equals'] = (x) => dc.maxPool2d(x, 2, { stride: 1 });
golden['special: maxPool2d of NaN and minus infinity'] = golden.maxPool2d;
golden.avgPool2d = (x) => dc.avgPool2d(x, 2);
golden['avgPool2d with stride and padding'] = (x) => dc.avgPool2d(x, [3, 4], { stride: [2, 1], padding: [1, 2] });
golden['avgPool2d counts what lies inside'] = (x) =>
  dc.avgPool2d(x, 3, { stride: 2, padding: 1, countIncludePad: false });
golden.maxPool1d = (x) => dc.maxPool1d(x, 3);
golden['maxPool1d with everything'] = (x) => dc.maxPool1d(x, 3, { stride: 2, padding: 1, dilation: 2 });
golden.avgPool1d = (x) => dc.avgPool1d(x, 4);
golden['avgPool1d with stride and padding'] = (x) => dc.avgPool1d(x, 3, { stride: 2, padding: 1 });
golden['avgPool1d counts what lies inside'] = (x) =>
  dc.avgPool1d(x, 4, { stride: 3, padding: 2, countIncludePad: false });
