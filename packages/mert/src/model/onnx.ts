import { createCqt } from '@dawnchorus/dsp';
import { exportOnnx } from '@dawnchorus/formats';
import { scope, type Tensor, zeros } from '@dawnchorus/tensor';
import { type HiddenStateChoice, layerIndices } from '../embed/layers.ts';
import { normaliseOnDevice } from './normalise.ts';
import type { PretrainedModel } from './pretrained.ts';

/** What an ONNX model of a student takes and gives. */
export interface StudentOnnxOptions {
  /** Samples of a clip, at the model's rate. */
  samples: number;
  /** Clips; default 1. */
  batch?: number;
  /** Hidden states that it gives: `hidden.N`, each [batch, frames, dim]; of `mean`, one `hidden`. Default all. */
  layers?: HiddenStateChoice;
  opset?: number;
}

/**
 * A student as an ONNX model: input `waveform` f32 [batch, samples], brought to zero mean and unit variance inside where
 * the model wants that; outputs its hidden states.
 *
 * @throws RangeError when a clip is too short for a frame.
 */
export async function studentToOnnx(model: PretrainedModel, options: StudentOnnxOptions): Promise<Uint8Array> {
  const { samples, batch = 1, layers: choice = 'all', opset } = options;
  if (!(samples >= model.frame.reach)) {
    throw new RangeError(`a clip of ${samples} samples is shorter than the ${model.frame.reach} of a frame`);
  }
  const { student, doNormalize } = model;
  const indices = layerIndices(choice, student.config.numHiddenLayers + 1);
  // As the product that defines it: the transform by way of spectra is no operation that ONNX has.
  const cqt = student.config.featureExtractorCqt
    ? createCqt(student.maskedSpecEmbed.device, { ...student.cqtSettings, method: 'gemm' })
    : undefined;
  const forward = (waveform: Tensor): Record<string, Tensor> => {
    const { hiddenStates } = student.forward(doNormalize ? normaliseOnDevice(waveform) : waveform, { cqt });
    if (choice === 'mean') {
      const sum = hiddenStates.reduce((total, state) => total.add(state));
      return { hidden: sum.div(hiddenStates.length) };
    }
    return Object.fromEntries(indices.map((i) => [`hidden.${i}`, hiddenStates[i]]));
  };
  const example = scope(() => zeros([batch, samples]));
  try {
    const parameters = student.stateDict();
    return await exportOnnx(forward, [example], { inputNames: ['waveform'], parameters, ...(opset && { opset }) });
  } finally {
    cqt?.dispose();
    example.dispose();
  }
}
