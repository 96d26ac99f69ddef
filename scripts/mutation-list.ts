/** One defect put into the code on purpose, which a test must notice. */
export interface Mutation {
  /** What is wrong with the code then. */
  what: string;
  /** Where, from the root of the repository; `find` occurs once in it. */
  file: string;
  find: string;
  replace: string;
  /** The tests of which one at least must fail, from the root. */
  tests: readonly string[];
}

const of = (file: string, tests: readonly string[], ...defects: readonly (readonly [string, string, string])[]) =>
  defects.map(([what, find, replace]): Mutation => ({ what, file, find, replace, tests }));

const cqt = ['packages/dsp/test/cqt-kernels.test.ts', 'packages/dsp/test/cqt-golden.test.ts'];
const features = ['packages/dsp/test/mel.test.ts', 'packages/dsp/test/features.test.ts'];
const codec = ['packages/mert/test/codec.test.ts'];
const rvq = ['packages/mert/test/rvq.test.ts'];
const student = ['packages/mert/test/student.test.ts', 'packages/mert/test/variants.test.ts'];
const metrics = ['packages/mert/test/metrics.test.ts'];

/** The mistakes that are easiest to make in each family: conventions mixed up, signs, edges, ties, orders. */
export const mutations: readonly Mutation[] = [
  ...of(
    'packages/dsp/src/cqt-kernels.ts',
    cqt,
    [
      'the quality factor of librosa’s newer filters',
      'const quality = 1 / (2 ** (1 / binsPerOctave) - 1);',
      'const quality = (2 ** (2 / binsPerOctave) + 1) / (2 ** (2 / binsPerOctave) - 1);',
    ],
    ['filter lengths rounded down', 'Math.ceil((filterScale', 'Math.floor((filterScale'],
    ['odd filters begin a sample late', 'return -Math.ceil(length / 2);', 'return -Math.floor(length / 2);'],
    ['symmetric windows', '(2 * Math.PI * i) / length)', '(2 * Math.PI * i) / (length - 1))'],
    ['not scaled by the root of the length', "if (normalization === 'librosa') return Math.sqrt(length);", ''],
  ),
  ...of('packages/dsp/src/cqt-bank.ts', cqt, [
    'filters that are not conjugated',
    'values[at + taps + n] = -scale * kernel.im[n];',
    'values[at + taps + n] = scale * kernel.im[n];',
  ]),
  ...of(
    'packages/dsp/src/cqt.ts',
    ['packages/dsp/test/cqt.test.ts', ...cqt],
    [
      'mirrored edges where zeros are asked for',
      "return padMode === 'reflect' ? transformMirrored(x)",
      "return padMode !== 'reflect' && x.shape[1] > reach ? transformMirrored(x)",
    ],
  ),
  ...of(
    'kernels/cqt/cqt_spectrum.wgsl',
    ['packages/dsp/test/cqt-variants.test.ts'],
    ['odd filters a half sample off', '(f & 1) == 1', 'false'],
  ),

  ...of(
    'packages/dsp/src/stft.ts',
    ['packages/dsp/test/spectral.test.ts', 'packages/dsp/test/stft.test.ts'],
    [
      'zeros at the edges in the place of the mirrored clip',
      "torchaudio: { window: 'hann', center: true, padMode: 'reflect'",
      "torchaudio: { window: 'hann', center: true, padMode: 'constant'",
    ],
    ['a short window off the middle', 'Math.floor((nFft - winLength) / 2)', 'nFft - winLength'],
  ),
  ...of(
    'packages/dsp/src/mel.ts',
    features,
    ['triangles of equal height', "norm === 'slaney' ? 2 / (right - left) : 1", '1'],
    ['a natural logarithm in HTK’s scale', '2595 * Math.log10(1 + hz / 700)', '2595 * Math.log(1 + hz / 700)'],
    ['decibels of an amplitude as of a power', "(of === 'power' ? 10 : 20)", '10'],
    ['the limit under the maximum of the batch, not of each item', "maximumOf === 'item' ? 1 : 0", '0'],
  ),
  ...of(
    'packages/dsp/src/dct.ts',
    ['packages/dsp/test/spectral.test.ts', ...features],
    ['the first row of a DCT as long as the others', 'Math.sqrt((k === 0 ? 1 : 2) / size)', 'Math.sqrt(2 / size)'],
  ),
  ...of(
    'packages/dsp/src/kaldi.ts',
    ['packages/dsp/test/spectral.test.ts', ...features],
    [
      'a frame’s first sample without one before it',
      'sliceAxis(frames, -1, 0, 1)',
      'mul(sliceAxis(frames, -1, 0, 1), 0)',
    ],
  ),
  ...of(
    'packages/dsp/src/resample.ts',
    ['packages/dsp/test/resample.test.ts'],
    ['no roll-off', 'crossings: 6, rolloff: 0.99', 'crossings: 6, rolloff: 1'],
    ['a length rounded down', '(product + step - 1n) / step', 'product / step'],
  ),
  ...of(
    'packages/dsp/src/loudness.ts',
    ['packages/dsp/test/filters.test.ts'],
    ['no relative gate', 'logicalAnd(loud, gt(own, relative))', 'logicalAnd(loud, gt(own, -70))'],
  ),

  ...of(
    'packages/mert/src/codec/convolution.ts',
    codec,
    [
      'zeros at the edges in the place of the mirrored signal',
      '{ padMode: mode } = this.options',
      "mode: string = 'constant'",
    ],
    ['padding behind the signal, not in front', '[front, after], { mode }', '[after, front], { mode }'],
    [
      'transposed convolutions cut at the other end',
      'y.sliceAxis(2, before * stride, steps * stride)',
      'y.sliceAxis(2, y.shape[2] - (steps - before) * stride)',
    ],
  ),
  ...of(
    'packages/mert/src/codec/quantize.ts',
    rvq,
    [
      'no straight-through estimator',
      'quantized: rows.add(stopGradient(total(taken).sub(fixed))),',
      'quantized: total(taken),',
    ],
    [
      'commitment that reaches the encoder from the first stage alone, as in the published code',
      'rows\n        .sub(stopGradient(fixed.sub(own)))',
      '(i === 0 ? rows : fixed)\n        .sub(stopGradient(fixed.sub(own)))',
    ],
    ['codes in the reverse order', 'found.codes.select(0, i)', 'found.codes.select(0, codebooks.length - 1 - i)'],
  ),
  ...of(
    'packages/mert/src/codec/balancer.ts',
    ['packages/mert/test/codec-losses.test.ts'],
    [
      'norms without a running mean',
      'add(mul(sums.sliceAxis(0, i, i + 1), decay), own.reshape([1]))',
      'mul(own.reshape([1]), nextCounts.sliceAxis(0, i, i + 1))',
    ],
  ),
  ...of('kernels/rvq/codebook_entries.wgsl', rvq, [
    'dead entries left as they are, as in the published code',
    'let isDead = size < params.threshold && params.rows > 0u;',
    'let isDead = false;',
  ]),
  ...of('kernels/rvq/codebook_sums.wgsl', rvq, [
    'sizes without decay',
    'sizes[code] = params.decay * oldSizes',
    'sizes[code] = oldSizes',
  ]),
  ...of(
    'kernels/rvq/residual_codes_broadcast.wgsl',
    ['packages/tensor/test/residual-codes.test.ts', ...rvq],
    ['the last entry on ties', 'let less = scores < nearest.scores;', 'let less = scores <= nearest.scores;'],
  ),

  ...of(
    'packages/mert/src/kmeans/minibatch.ts',
    ['packages/mert/test/kmeans.test.ts'],
    ['steps that forget the batches before', 'const total = counts.add(own);', 'const total = own;'],
  ),
  ...of(
    'packages/mert/src/kmeans/plus-plus.ts',
    ['packages/mert/test/kmeans.test.ts'],
    [
      'starts drawn evenly, not by squared distance',
      'minimum(searchSorted(cumulative, thresholds, { right: true }), count - 1)',
      'minimum(mul(all.select(0, i - 1), count).floor().cast("i32"), count - 1)',
    ],
  ),
  ...of(
    'packages/mert/src/model/mixture.ts',
    ['packages/mert/test/mixture.test.ts'],
    [
      'a probability that means its opposite',
      'random.uniform() >= options.probability',
      'random.uniform() < options.probability',
    ],
    ['a clip in its own pool', 'where(ge(at, own), at.add(samples), at)', 'at'],
    ['a level with the wrong sign', 'const level = snr[0] +', 'const level = -snr[0] +'],
  ),
  ...of(
    'packages/mert/src/labels/crops.ts',
    ['packages/mert/test/labels.test.ts', 'packages/mert/test/pretrain-labels.test.ts'],
    ['crops that may end a label late', '(count - frames) * hop', '(count - frames + 1) * hop'],
  ),

  ...of(
    'packages/mert/src/model/masking.ts',
    ['packages/mert/test/masking.test.ts'],
    [
      'clips with more masked frames than the batch’s least',
      'masked.length === fewest ? masked',
      'masked.length >= fewest ? masked',
    ],
  ),
  ...of(
    'packages/mert/src/model/encoder.ts',
    student,
    [
      'the first frame of the positional convolution dropped, not the last',
      'y.sliceAxis(2, 0, x.shape[1])',
      'y.sliceAxis(2, y.shape[2] - x.shape[1])',
    ],
    [
      'hidden states without the last norm',
      'if (this.preNorm) states[states.length - 1] = this.layerNorm.forward(hidden);',
      '',
    ],
    ['no norm in front of the first layer', 'if (!this.preNorm) hidden = this.layerNorm.forward(hidden);', ''],
    ['residuals without DeepNorm’s factor', 'this.alpha === 1 ? y : y.mul(this.alpha)', 'y'],
  ),

  ...of('packages/mert/src/evaluation/metrics/beat.ts', metrics, [
    'beats at 50 ms',
    'WINDOW_SECONDS = 0.07',
    'WINDOW_SECONDS = 0.05',
  ]),
  ...of('packages/mert/src/evaluation/metrics/key.ts', metrics, [
    'a fifth below as good as above',
    'step === 7 ? 0.5 : 0',
    'step === 7 || step === 5 ? 0.5 : 0',
  ]),
  ...of('packages/mert/src/evaluation/metrics/multilabel.ts', metrics, ['ties as misses', 'above + hits / 2', 'above']),
  ...of('packages/mert/src/evaluation/metrics/classification.ts', metrics, [
    'classes that never occur in the mean',
    'present.length,',
    'own.length,',
  ]),
];
