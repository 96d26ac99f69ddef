/**
 * The residual quantiser against encodec's (golden/rvq_train), k-means, and the acoustic teacher as a whole. Dead codes
 * differ from encodec on purpose: there the replacement is overwritten within the same step, here it lasts.
 */
import { nn, valueAndGrad } from '@dawnchorus/autograd';
import { nearestCode, type Tensor, tensor } from '@dawnchorus/tensor';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { movedCodebooks, quantizeRows } from '../src/codec/quantize.ts';
import { type HostRandom, hostRandom } from '../src/random.ts';
import { Autoencoder } from '../src/rvq/autoencoder.ts';
import { kMeans, ResidualQuantizer, startQuantizer } from '../src/rvq/quantizer.ts';
import { emptyTeacher, perplexity, type TeacherStep, trainTeacher } from '../src/rvq/teacher.ts';
import { goldenArrays, openTestDevice, relativeError, tinyConfig, tone } from './support.ts';

const device = await openTestDevice();
const golden = await goldenArrays('rvq_train.safetensors');
const [LAYERS, CODES, DIMENSION, BATCH, FRAMES] = [3, 16, 8, 2, 40];
const ROWS = BATCH * FRAMES;
const options = { decay: 0.99, deadCodeThreshold: 2 };
const floats = async (x: Tensor) => (await x.data()) as Float32Array;

/** encodec's [batch, dimension, frames] as rows [batch * frames, dimension]. */
function rowsOf(values: Float32Array): Float32Array {
  return Float32Array.from({ length: values.length }, (_, i) => {
    const [row, d] = [Math.floor(i / DIMENSION), i % DIMENSION];
    return values[(Math.floor(row / FRAMES) * DIMENSION + d) * FRAMES + (row % FRAMES)];
  });
}

const input = () => tensor(rowsOf(golden('x')), { shape: [ROWS, DIMENSION] });

function initial(): ResidualQuantizer {
  return new ResidualQuantizer(
    Array.from({ length: LAYERS }, (_, i) => ({
      embed: tensor(golden(`init/layer${i}/embed`), { shape: [CODES, DIMENSION] }),
      embedAvg: tensor(golden(`init/layer${i}/embed_avg`), { shape: [CODES, DIMENSION] }),
      clusterSize: tensor(golden(`init/layer${i}/cluster_size`)),
    })),
  );
}

async function codesOf(codes: readonly Tensor[]): Promise<number[]> {
  return (await Promise.all(codes.map(async (code) => [...(await code.data())]))).flat() as number[];
}

async function assertCodebooks({ codebooks }: ResidualQuantizer, name: string): Promise<void> {
  for (const [i, { embed, embedAvg, clusterSize }] of codebooks.entries()) {
    const at = `${name}/layer${i}`;
    assert.ok(relativeError(await floats(embed), golden(`${at}/embed`)) < 1e-5, `${at}/embed`);
    assert.ok(relativeError(await floats(embedAvg), golden(`${at}/embed_avg`)) < 1e-5, `${at}/embed_avg`);
    assert.ok(relativeError(await floats(clusterSize), golden(`${at}/cluster_size`)) < 1e-5, `${at}/cluster_size`);
  }
}

/** A generator that hands out recorded draws and checks what they are drawn from. */
function recorded(picks: ArrayLike<number>, low: number, high: number): HostRandom {
  let at = 0;
  return {
    uniform: () => assert.unreachable('expected whole numbers to be drawn') as never,
    integer(from, to) {
      assert.equal([from, to], [low, high]);
      return picks[at++];
    },
  };
}

const quantizing = suite('residual quantiser');

quantizing('codes, what they stand for and what is left over', async () => {
  const quantizer = initial();
  const { codes, inputs, residual } = quantizer.encode(input());
  assert.equal(await codesOf(codes), [...golden('eval/codes_qbt')]);
  const quantised = await floats(quantizer.decode(codes));
  assert.ok(relativeError(quantised, rowsOf(golden('eval/quantized'))) < 1e-5);
  const left = await floats(residual);
  assert.ok(
    relativeError(
      left.map((value, i) => value + quantised[i]),
      rowsOf(golden('x')),
    ) < 1e-6,
  );
  assert.equal(await floats(inputs[0]), rowsOf(golden('x')));
});

quantizing('two steps of moving averages', async () => {
  const quantizer = initial();
  const random = hostRandom(1);
  for (const [codesName, after] of [
    ['codes_qbt', 'after'],
    ['step2_codes_qbt', 'after2'],
  ]) {
    const { codes, inputs } = quantizer.encode(input());
    assert.equal(await codesOf(codes), [...golden(`train_encodec/${codesName}`)]);
    quantizer.update(codes, inputs, options, random);
    await assertCodebooks(quantizer, `train_encodec/${after}`);
  }
});

quantizing('dead codes become vectors of the batch, after the averages, and stay so', async () => {
  const quantizer = initial();
  // As the golden case has them: every second code was hardly ever used.
  for (const codebook of quantizer.codebooks) {
    const counts = (await floats(codebook.clusterSize)).map((count, code) => (code % 2 === 0 ? 1 : count));
    codebook.clusterSize = tensor(counts);
  }
  const { codes, inputs } = quantizer.encode(input());
  assert.equal(await codesOf(codes), [...golden('dead/codes_qbt')]);
  const picks = [...golden('dead/sample_index')];
  quantizer.update(codes, inputs, options, recorded(picks, 0, ROWS - 1));
  for (const [i, { embed, embedAvg, clusterSize }] of quantizer.codebooks.entries()) {
    const [seen, entries, sums, counts] = await Promise.all([inputs[i], embed, embedAvg, clusterSize].map(floats));
    const published = golden(`dead/after/layer${i}/cluster_size`);
    assert.is(published.filter((count) => count < options.deadCodeThreshold).length, CODES / 2);
    for (let code = 0; code < CODES; code++) {
      const [from, to] = [code * DIMENSION, (code + 1) * DIMENSION];
      if (published[code] >= options.deadCodeThreshold) {
        // Codes in use fare as in encodec.
        assert.ok(Math.abs(counts[code] - published[code]) < 1e-5);
        const expected = golden(`dead/after/layer${i}/embed`).subarray(from, to);
        assert.ok(relativeError(entries.subarray(from, to), expected) < 1e-5);
        continue;
      }
      const pick = picks[i * CODES + code];
      const row = seen.subarray(pick * DIMENSION, (pick + 1) * DIMENSION);
      assert.equal(entries.subarray(from, to), row);
      assert.equal(
        sums.subarray(from, to),
        row.map((value) => value * options.deadCodeThreshold),
      );
      assert.is(counts[code], options.deadCodeThreshold);
    }
  }
  // The vector that was picked is now coded without error at its stage.
  const again = quantizer.encode(input());
  const pick = picks[0];
  const residual = (await floats(again.inputs[1])).subarray(pick * DIMENSION, (pick + 1) * DIMENSION);
  assert.ok(residual.every((value) => value === 0));
});

quantizing('without revival dead codes fare as in the published code', async () => {
  const quantizer = initial();
  for (const codebook of quantizer.codebooks) {
    const counts = (await floats(codebook.clusterSize)).map((count, code) => (code % 2 === 0 ? 1 : count));
    codebook.clusterSize = tensor(counts);
  }
  const { codes, inputs } = quantizer.encode(input());
  quantizer.update(codes, inputs, { decay: 0.99, deadCodeThreshold: 0 }, hostRandom(1));
  await assertCodebooks(quantizer, 'dead/after');
});

quantizing(
  'in training: the straight-through gradient and the commitment of every stage, as audiocraft has them',
  async () => {
    const { codebooks } = initial();
    const x = input();
    const target = tensor(rowsOf(golden('target')), { shape: [ROWS, DIMENSION] });
    const { gradients, auxiliary } = valueAndGrad(() => {
      const result = quantizeRows(x, codebooks);
      return { loss: result.quantized.sub(target).square().mean().add(result.commitment), auxiliary: result };
    }, [x]);
    assert.equal(await codesOf(auxiliary.codes), [...golden('train_audiocraft/codes_qbt')]);
    assert.ok(relativeError(await floats(auxiliary.quantized), rowsOf(golden('train_audiocraft/quantized'))) < 1e-5);
    const losses = golden('train_audiocraft/losses');
    const mean = losses.reduce((a, b) => a + b) / LAYERS;
    assert.ok(Math.abs(((await auxiliary.commitment.item()) as number) / mean - 1) < 1e-5);
    assert.ok(relativeError(await floats(gradients[0]), rowsOf(golden('train_audiocraft/grad_x'))) < 1e-5);
    // The published code's gradient is another one: there only the first stage pulls.
    assert.ok(relativeError(await floats(gradients[0]), rowsOf(golden('train_encodec/grad_x'))) > 1e-2);
    // Fewer stages by weights of 1 and 0 are as fewer codebooks, and unused ones stay as they are.
    const used = [1, 1, 0].map((value) => tensor(value));
    const fewer = quantizeRows(x, codebooks, used);
    const first = quantizeRows(x, codebooks.slice(0, 2));
    assert.ok(relativeError(await floats(fewer.quantized), await floats(first.quantized)) < 1e-6);
    assert.ok(relativeError(await floats(fewer.commitment), await floats(first.commitment)) < 1e-6);
    const picks = tensor(new Int32Array(LAYERS * CODES), { shape: [LAYERS, CODES] });
    const moved = movedCodebooks(codebooks, fewer, picks, options, used);
    const all = movedCodebooks(codebooks.slice(0, 2), first, picks, options);
    assert.equal(await floats(moved[2].embed), await floats(codebooks[2].embed));
    assert.equal(await floats(moved[1].embed), await floats(all[1].embed));
  },
);

quantizing('started by k-means, each further codebook leaves less over', async () => {
  const x = input();
  const quantizer = startQuantizer(x, 4, CODES, hostRandom(3));
  const { inputs, residual } = quantizer.encode(x);
  const norms = await Promise.all(
    [...inputs, residual].map(async (part) => (await part.square().sum().item()) as number),
  );
  for (let i = 1; i < norms.length; i++) assert.ok(norms[i] < norms[i - 1], norms.join(' '));
});

const clustering = suite('k-means');

const starts = (picks: ArrayLike<number>, rows: number): HostRandom => {
  // Draws without replacement swap places; this undoes the swaps so that the wanted rows come out.
  const pool = Array.from({ length: rows }, (_, i) => i);
  let i = 0;
  return {
    uniform: () => 0,
    integer(low) {
      assert.is(low, i);
      const j = pool.indexOf(picks[i]);
      [pool[i], pool[j]] = [pool[j], pool[i]];
      i++;
      return j;
    },
  };
};

clustering('one iteration from the recorded rows, and the end', async () => {
  const index = [...golden('kmeans/init_index')];
  const rows = input();
  const once = kMeans(rows, CODES, starts(index, ROWS), 1);
  assert.ok(relativeError(await floats(once.means), golden('kmeans/means_iter1')) < 1e-5);
  assert.equal([...(await floats(once.counts))], [...golden('kmeans/bins_iter1')]);
  const converged = kMeans(rows, CODES, starts(index, ROWS), 50);
  assert.ok(relativeError(await floats(converged.means), golden('kmeans/means')) < 1e-5);
  assert.equal([...(await floats(converged.counts))], [...golden('kmeans/bins')]);
});

clustering('ties go to the first centre, and a cluster without rows keeps its own', async () => {
  // Four equal rows and one apart: with two equal centres, the second one never gets a row.
  const x = tensor([1, 1, 1, 1, 1, 1, 1, 1, 9, 9], { shape: [5, 2] });
  const { means, counts } = kMeans(x, 3, starts([0, 1, 4], 5), 4);
  assert.equal([...(await floats(means))], [1, 1, 1, 1, 9, 9]);
  assert.equal([...(await floats(counts))], [4, 0, 1]);
  const between = nearestCode(tensor([2, 0], { shape: [1, 2] }), tensor([1, 0, 3, 0], { shape: [2, 2] }));
  assert.equal([...(await between.codes.data())], [0]);
});

clustering('fewer rows than centres', async () => {
  const { means, counts } = kMeans(tensor([1, 2, 3, 5], { shape: [2, 2] }), 4, hostRandom(1), 3);
  assert.ok((await floats(means)).every(Number.isFinite));
  assert.is(
    (await floats(counts)).reduce((sum, count) => sum + count, 0),
    2,
  );
});

const teaching = suite('acoustic teacher');

teaching('perplexity counts codes in use', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 9 }), (used, times) => {
      const codes = Array.from({ length: used * times }, (_, i) => i % used);
      return Math.abs(perplexity(codes, 32) - used) < 1e-9;
    }),
  );
});

teaching('lengths: one code for each 320 samples, and back', async () => {
  const { rvq } = tinyConfig();
  const teacher = emptyTeacher(rvq, 1);
  for (const samples of [320, 639, 640, 8000]) {
    const frames = Math.floor(samples / 320);
    const codes = teacher.encode(tensor(tone(2 * samples, 1), { shape: [2, samples] }));
    assert.equal([...codes.shape, codes.dtype], [2, 2, frames, 'i32']);
    assert.equal([...teacher.decode(codes).shape], [2, frames * 320]);
  }
  const autoencoder = new Autoencoder(4, 8, nn.keySequence(1));
  assert.equal([...autoencoder.encode(tensor(tone(960, 1), { shape: [1, 960] })).shape], [1, 8, 3]);
});

/** Notes of 1/15 s: a single steady tone would need no more than a code or two. */
function melody(samples: number, seed: number): Float32Array {
  const note = 1600;
  const notes = Array.from({ length: Math.ceil(samples / note) }, (_, i) => tone(note, seed * 5 + i * 11));
  return Float32Array.from({ length: samples }, (_, n) => {
    const i = Math.floor(n / note);
    return (notes[i][n % note] * (1 + ((seed + i) % 4))) / 4;
  });
}

teaching('a few steps lower its loss and use several codes, with the same bits each time', async () => {
  // In so few steps the encoder moves fast, and the entries must follow as fast.
  const { rvq } = tinyConfig('rvq.steps=12', 'rvq.learningRate=0.003', 'rvq.decay=0.8', 'rvq.batchSize=4');
  async function train() {
    const steps: TeacherStep[] = [];
    const teacher = await trainTeacher({
      config: rvq,
      seed: 2,
      readClips: async (first, count) => Array.from({ length: count }, (_, i) => melody(8000, (first + i) % 6)),
      onStep: (step) => steps.push(step),
    });
    return { teacher: teacher!, steps };
  }
  const { teacher, steps } = await train();
  assert.is(steps.length, rvq.steps);
  assert.equal(steps[0].perplexity, []);
  const [first, last] = [steps[0], steps[steps.length - 1]];
  assert.ok(last.loss < 0.8 * first.loss, `${first.loss} -> ${last.loss}`);
  for (const codes of last.perplexity) assert.ok(codes > 3, `perplexity ${last.perplexity}`);
  const codes = await teacher.encode(tensor(melody(8000, 1), { shape: [1, 8000] })).data();
  assert.is(codes.length, 2 * 25);
  assert.ok(codes.every((code) => code >= 0 && code < rvq.codebookSize));
  assert.equal((await train()).steps, steps);
});

teaching('it can be stopped', async () => {
  let asked = 0;
  const teacher = await trainTeacher({
    config: tinyConfig().rvq,
    seed: 2,
    readClips: async (_, count) => Array.from({ length: count }, (_, i) => tone(6400, i)),
    stopped: () => ++asked > 4,
  });
  assert.is(teacher, undefined);
  assert.is(asked, 5);
});

teaching.after(() => device.close());

quantizing.run();
clustering.run();
teaching.run();
