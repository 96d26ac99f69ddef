/** What compiled functions join into one kernel, that it computes the same, and what they leave apart. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as t from '../src/index.ts';
import { arrayOf, randomFrom, upload } from './arbitraries.ts';
import { device } from './device.ts';

const random = randomFrom(11);
const floats = (...shape: number[]) => upload(arrayOf(shape, random));

/** The operations of each kernel, in order; four neighbours at a time or not. */
const kernelsOf = (compiled: { explain(): string }) =>
  compiled
    .explain()
    .split('\n')
    .slice(4, -1)
    .map((line) => line.replace(/^(\S+) .* (?:[kMG]?B|") {2}/, '$1: ').replace(/^fused_fours/, 'fused'));

/** Runs `fn` both ways: the same within 1e-6 of the largest element, and the same bits each time. Returns the kernels. */
async function agree<A extends readonly unknown[]>(fn: (...args: A) => t.Tensor[], ...args: A): Promise<string[]> {
  const compiled = t.compile(fn);
  const [eager, first, second] = [t.scope(() => fn(...args)), compiled(...args), compiled(...args)];
  const kernels = kernelsOf(compiled);
  for (const [i, out] of eager.entries()) {
    const [want, got, again] = await Promise.all([out, first[i], second[i]].map(async (x) => [...(await x.data())]));
    const scale = want.reduce((a, b) => Math.max(a, Math.abs(b)), 1);
    assert.equal(first[i].shape, out.shape);
    want.forEach((value, k) => {
      assert.ok(Math.abs(value - got[k]) <= 1e-6 * scale, `output ${i}, element ${k}: ${got[k]}, eagerly ${value}`);
    });
    assert.equal(again, got);
  }
  for (const tensor of [...eager, ...first, ...second]) if (!tensor.disposed) tensor.dispose();
  compiled.dispose();
  return kernels;
}

/** As hardware adapters, which get tiled products and more threads a row. */
async function onHardware<T>(body: () => Promise<T>): Promise<T> {
  const { software } = device.adapter;
  Object.assign(device.adapter, { software: false });
  try {
    return await body();
  } finally {
    Object.assign(device.adapter, { software });
  }
}

const key = (stream: number, step?: t.Tensor) => ({ p: 0.3, seed: 2 ** 40 + 5, stream, step });

const layer = (x: t.Tensor, w: t.Tensor, b: t.Tensor, residual: t.Tensor, step: t.Tensor) => [
  t.dropout(x.matmul(w).add(b).gelu(), key(3, step)).add(residual),
];
const layerOf = (m: number, k: number, n: number) =>
  [floats(m, k), floats(k, n), floats(n), floats(m, n), t.tensor(Uint32Array.of(7))] as const;

test('on hardware a thread has several elements of a large tensor, and none beyond its end', async () => {
  await onHardware(async () => {
    const size = 2 ** 19 + 37;
    const x = t.uniform([size], { seed: 4, stream: 1 });
    const large = t.compile((a: t.Tensor) => [a.mul(3).add(1), a.neg()]);
    const [sum, negative] = large(x);
    const joined = t.concat([x, negative, sum]);
    const [given, all] = [await x.data(), await joined.data()];
    assert.is(all.length, 3 * size);
    for (let i = 0; i < size; i++) {
      if (all[i] !== given[i] || all[size + i] !== -given[i] || Math.abs(all[2 * size + i] - 3 * given[i] - 1) > 1e-6) {
        assert.unreachable(`element ${i}: ${given[i]} gave ${all[i]}, ${all[size + i]}, ${all[2 * size + i]}`);
      }
    }
    for (const tensor of [x, sum, negative, joined]) tensor.dispose();
    large.dispose();
  });
});

test('a product, its bias, activation, dropout and residual are one kernel', async () => {
  const one = (kernel: string) => [`matmul_${kernel}_fused: matmul add gelu dropout add`];
  assert.equal(await agree(layer, ...layerOf(5, 7, 12)), one('register'));
  const [least, most] = device.adapter.subgroupSizes ?? [0, 1];
  assert.equal(await agree(layer, ...layerOf(140, 64, 132)), one(least === most ? 'broadcast' : 'register'));
  assert.equal(await onHardware(() => agree(layer, ...layerOf(130, 20, 132))), [
    'matmul_tiled_fused: matmul add gelu dropout add',
  ]);
});

test('where rows are no multiple of four, which draws come in, the dropout begins a kernel of its own', async () => {
  const kernels = await agree(layer, ...layerOf(5, 7, 10));
  assert.is(kernels.length, 2, kernels.join('\n'));
});

test('a joined dropout drops what dropout drops, to the bit', async () => {
  const [x, w] = [floats(9, 6), floats(6, 16)];
  const fn = (a: t.Tensor, step: t.Tensor) => [t.dropout(a.matmul(w).square().add(1), key(5, step))];
  const compiled = t.compile(fn);
  for (const number of [1, 2, 4095, 4096]) {
    const step = t.tensor(Uint32Array.of(number));
    const [[want], [got]] = [fn(x, step), compiled(x, step)];
    const zeros = async (out: t.Tensor) => [...(await out.data())].map((value) => value === 0);
    assert.equal(await zeros(got), await zeros(want));
  }
  assert.match(compiled.explain(), 'matmul square add dropout');
});

test('so are a convolution and what follows', async () => {
  const lines = (x: t.Tensor, w: t.Tensor, b: t.Tensor, y: t.Tensor) => [
    t.dropout(t.conv1d(x, w, { padding: 1 }).add(b).relu(), key(1)).add(y),
  ];
  assert.equal(await agree(lines, floats(2, 3, 20), floats(5, 3, 3), floats(5, 1), floats(2, 5, 20)), [
    'conv1d_fused: conv1d add relu dropout add',
  ]);
  const images = (x: t.Tensor, w: t.Tensor, b: t.Tensor) => [
    t.dropout(t.conv2d(x, w, { padding: 1 }).add(b).relu(), key(1)),
  ];
  assert.equal(await agree(images, floats(2, 3, 5, 12), floats(5, 3, 3, 3), floats(5, 1, 1)), [
    'conv2d_fused: conv2d add relu dropout',
  ]);
  const back = (y: t.Tensor, w: t.Tensor) => [t.convTranspose1d(y, w, { stride: 2 }).tanh().mul(2)];
  assert.equal(await agree(back, floats(2, 3, 9), floats(3, 4, 4)), [
    'conv1d_transpose_fused: convTranspose1d tanh mul',
  ]);
});

test('softmax and norms take what follows, each of their outputs kept where others need it', async () => {
  const attention = (x: t.Tensor, v: t.Tensor) => {
    const weights = x.softmax();
    const dropped = t.dropout(weights, key(2));
    return [dropped.matmul(v), weights];
  };
  assert.equal(await agree(attention, floats(3, 6, 8), floats(8, 4)), [
    'softmax_fused: softmax dropout',
    'matmul_register: matmul',
  ]);
  const norms = (x: t.Tensor, w: t.Tensor, b: t.Tensor) => {
    const [y, statistics] = t.apply('layerNorm', [x, w, b], { eps: 1e-5 });
    const [z] = t.apply('groupNorm', [x.unsqueeze(0), w.reshape([4]), b], { eps: 1e-5, groups: 2 });
    return [t.dropout(y.gelu(), key(3)), z.gelu(), statistics];
  };
  for (const run of [onHardware, <T>(body: () => Promise<T>) => body()]) {
    assert.equal(await run(() => agree(norms, floats(4, 4), floats(4), floats(4))), [
      'norm_fused: layerNorm gelu dropout',
      'norm_fused: groupNorm gelu',
    ]);
  }
});

test('softmax and norms compute cheap elementwise operations before them, and keep those that others need', async () => {
  const mask = t.tensor([1, 0, 1, 1, 1], { dtype: 'bool' });
  const masked = (x: t.Tensor) => [t.where(mask, x.mul(0.5), -1e9).softmax()];
  assert.equal(await agree(masked, floats(6, 5)), ['softmax_fused: mul where softmax']);
  const both = (x: t.Tensor, bias: t.Tensor) => [t.logSoftmax(x.add(bias)).mul(-1)];
  assert.equal(await agree(both, floats(6, 8), floats(8)), ['softmax_fused: add logSoftmax mul']);
  const [w, b] = [floats(8), floats(8)];
  const residual = (x: t.Tensor, y: t.Tensor) => {
    const sum = x.add(y);
    const [normed] = t.apply('layerNorm', [sum, w, b], { eps: 1e-5 });
    return [normed.relu(), sum, normed.add(sum)];
  };
  for (const run of [onHardware, <T>(body: () => Promise<T>) => body()]) {
    assert.equal(await run(() => agree(residual, floats(7, 8), floats(7, 8))), ['norm_fused: add layerNorm relu add']);
  }
});

test('a residual sum with dropout goes into the norm after it, drawn and stored once', async () => {
  const [w, b] = [floats(8), floats(8)];
  const block = (x: t.Tensor, y: t.Tensor) => t.layerNorm(x.add(t.dropout(y, key(3))), w, b);
  const kept = (x: t.Tensor, y: t.Tensor) => {
    const sum = x.add(t.dropout(y, key(3)));
    return [t.dropout(t.layerNorm(sum, w, b), key(4)).relu(), sum];
  };
  const stored = (x: t.Tensor) => {
    const bent = x.tanh().mul(3).exp();
    return [bent.softmax(), bent];
  };
  for (const run of [onHardware, <T>(body: () => Promise<T>) => body()]) {
    await run(async () => {
      assert.equal(await agree((x, y) => [block(x, y)], floats(7, 8), floats(7, 8)), [
        'norm_fused: dropout add layerNorm',
      ]);
      assert.equal(await agree(kept, floats(70, 8), floats(70, 8)), ['norm_fused: dropout add layerNorm dropout relu']);
      assert.equal(await agree(stored, floats(5, 300)), ['softmax_fused: tanh mul exp softmax']);
      assert.equal(await agree((x) => [t.dropout(x, key(3)).softmax()], floats(5, 300)), [
        'softmax_fused: dropout softmax',
      ]);
    });
  }
  // Draws come in fours; and what follows wants the sum itself.
  const odd = (x: t.Tensor) => [t.dropout(x, key(3)).softmax()];
  assert.is((await agree(odd, floats(5, 7))).length, 2);
  const again = (x: t.Tensor, y: t.Tensor) => {
    const sum = x.add(t.dropout(y, key(3)));
    return [t.layerNorm(sum, w, b).add(sum)];
  };
  assert.is((await agree(again, floats(7, 8), floats(7, 8))).length, 2);
});

test('a row longer than registers is read again from where it was stored', async () => {
  const [w, b] = [floats(6000), floats(6000)];
  const fn = (x: t.Tensor, y: t.Tensor) => {
    const sum = x.add(t.dropout(y, key(3)));
    return [t.layerNorm(sum, w, b), sum];
  };
  for (const run of [onHardware, <T>(body: () => Promise<T>) => body()]) {
    assert.equal(await run(() => agree(fn, floats(3, 6000), floats(3, 6000))), ['norm_fused: dropout add layerNorm']);
  }
});

test('what is costly is computed once, before', async () => {
  const kernels = await agree((x: t.Tensor) => [x.tanh().softmax()], floats(6, 5));
  assert.equal(kernels, ['fused: tanh', 'softmax: softmax']);
});

test('elementwise operations that read a product in another order store it in that order', async () => {
  // Heads side by side again, as after attention.
  const heads = (a: t.Tensor, v: t.Tensor) => [a.matmul(v).permute([0, 2, 1, 3]).reshape([2, 5, 12]).mul(3)];
  assert.equal(await agree(heads, floats(2, 3, 5, 6), floats(2, 3, 6, 4)), [
    'matmul_register_fused: matmul contiguous mul',
  ]);
  const both = (a: t.Tensor, b: t.Tensor) => {
    const y = a.matmul(b);
    return [y.transpose().reshape([-1]), y];
  };
  assert.equal(await agree(both, floats(5, 6), floats(6, 4)), ['matmul_register_fused: matmul contiguous']);
  const half = (a: t.Tensor, b: t.Tensor) => [a.matmul(b).transpose().sliceAxis(0, 0, 2).add(1)];
  assert.is((await agree(half, floats(5, 6), floats(6, 4))).length, 2);
  const mixed = (a: t.Tensor, b: t.Tensor) => {
    const y = a.matmul(b);
    return [y.add(y.transpose())];
  };
  assert.is((await agree(mixed, floats(4, 6), floats(6, 4))).length, 2);
  const drawn = (a: t.Tensor, b: t.Tensor) => [t.dropout(a.matmul(b).transpose(), key(8))];
  assert.is((await agree(drawn, floats(8, 6), floats(6, 4))).length, 2);
});

test('what a kernel has no room or no hook for follows it, or goes before it', async () => {
  const { maxStorageBuffersPerShaderStage } = device.limits;
  const many = (w: t.Tensor, x: t.Tensor) => {
    let y = w.matmul(w);
    for (let k = 0; k < 2 * maxStorageBuffersPerShaderStage; k++) y = y.add(x.sliceAxis(0, k, k + 4));
    return [y];
  };
  const kernels = await agree(many, floats(4, 4), floats(4 + 2 * maxStorageBuffersPerShaderStage));
  assert.ok(kernels.length > 2, kernels.join('\n'));
  // Dense copies of axes that are no neighbours come in between.
  assert.equal(
    await agree(
      (x: t.Tensor) => [
        x
          .mul(2)
          .exp()
          .sum({ dim: [0, 2] }),
      ],
      floats(3, 4, 5),
    ),
    ['fused: mul exp', 'map: sum', 'reduce_rows: sum'],
  );
  // Nothing to convolve: zeros.
  const nothing = (x: t.Tensor, w: t.Tensor, b: t.Tensor) => [t.conv1d(x, w).add(b).exp()];
  assert.equal(await agree(nothing, floats(2, 0, 10), floats(4, 0, 3), floats(4, 1)), [
    'fill: conv1d',
    'fused: add exp',
  ]);
  const drops = (a: t.Tensor, b: t.Tensor) => {
    let y = a.matmul(b);
    for (let k = 0; k < 6; k++) y = t.dropout(y, key(k));
    return [y];
  };
  assert.is((await agree(drops, floats(3, 5), floats(5, 8))).length, 2);
  // More rows than a grid is long: groups past the end repeat the last row, while sums are written over what they add.
  const long = (x: t.Tensor, y: t.Tensor) => [x.softmax().add(y.logSoftmax())];
  assert.equal(await agree(long, floats(70001, 3), floats(70001, 3)), [
    'softmax: logSoftmax',
    'softmax_fused: softmax add',
  ]);
});

test('two dropouts of one product, one of them twice, are drawn apart', async () => {
  const fn = (a: t.Tensor, b: t.Tensor) => {
    const y = a.matmul(b);
    return [
      t
        .dropout(y, key(1))
        .add(t.dropout(y, key(2)))
        .mul(t.dropout(y, key(1))),
    ];
  };
  assert.equal(await agree(fn, floats(6, 5), floats(5, 8)), ['matmul_register_fused: matmul dropout x2 add mul']);
});

test('joined operations round as they do alone, and know NaN and infinities', async () => {
  const x = t.tensor([0.123456, 1.7, -3.3333, 1e-3]);
  const y = t.tensor([1e5, 3.1e3, -7777.77, 0.3]);
  const odd = t.tensor([NaN, Infinity, -Infinity, 0]);
  const weight = t.tensor([0.5, 1, 2, 3]);
  const fn = () => [
    x.add(1e6).sub(1e6),
    x.add(12582912).sub(12582912),
    x.add(y).sub(y),
    x.add(y).sub(x),
    x.mul(y).sub(x.mul(y).add(1).sub(1)),
    x.mul(3).div(3).sub(x),
    x
      .mul(1 / 3)
      .mul(3)
      .sub(x),
    odd.mul(0),
    odd.sub(odd),
    odd.reshape([4, 1]).sub(odd.reshape([4, 1])),
    odd.div(odd),
    odd.div(0),
    odd.add(1).mul(0).add(2),
    t.layerNorm(x, weight, y).sub(y),
    x
      .reshape([1, 4])
      .matmul(weight.reshape([4, 1]))
      .add(1e6)
      .sub(1e6),
    x.add(1e6).sub(1e6).sum(),
  ];
  const compiled = t.compile((_: t.Tensor) => fn());
  const [eager, fast] = [fn(), compiled(x)];
  for (const [i, out] of eager.entries()) {
    const [want, got] = [[...(await out.data())], [...(await fast[i].data())]];
    const scale = want.filter(Number.isFinite).reduce((a, b) => Math.max(a, Math.abs(b)), 1e-9);
    want.forEach((value, k) => {
      const same = Object.is(value, got[k]) || Math.abs(value - got[k]) <= 1e-6 * scale;
      assert.ok(same, `output ${i}, element ${k}: ${got[k]}, eagerly ${value}`);
    });
  }
  for (const tensor of [...eager, ...fast, x, y, odd, weight]) tensor.dispose();
  compiled.dispose();
});

test('a product whose result is taken up late runs where it stood, and lets go of what it read', () => {
  const compiled = t.compile((x: t.Tensor) => {
    const products: t.Tensor[] = [];
    let y = x;
    for (let k = 0; k < 8; k++) {
      y = y.softmax();
      products.push(y.sliceAxis(0, 0, 4).matmul(y));
    }
    return t.concat(products.map((product) => product.transpose().reshape([-1])));
  });
  compiled(floats(64, 64)).dispose();
  // A few of the squares at a time, not all eight.
  assert.ok(compiled.plannedBytes < 4 * 64 * 64 * 4 + 8 * 4 * 64 * 4, `${compiled.plannedBytes} bytes`);
  compiled.dispose();
});

test.run();
