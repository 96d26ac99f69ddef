import { ownKernel } from '../contract.ts';
import { lstmBackward as backwardSource, lstm as forwardSource } from '../generated/wgsl.ts';

const constants = { SIZE: 'const SIZE = 8u;', LANES: 'const LANES = 8u;' };

/** All steps of an LSTM layer. Grid: clips. */
export const lstm = ownKernel({
  name: 'lstm',
  source: forwardSource,
  bindings: {
    projected: 'read',
    weight: 'read',
    state: 'read',
    hidden: 'readWrite',
    gates: 'readWrite',
    cells: 'readWrite',
  },
  parameters: { time: 'u32', batch: 'u32', projectedOffset: 'u32', weightOffset: 'u32', stateOffset: 'u32' },
  constants: { ...constants, GROUPS: 'const GROUPS = 1u;' },
});

/** What a gradient of its hidden states does to what the input adds to the gates. Grid: clips. */
export const lstmBackward = ownKernel({
  name: 'lstm_backward',
  source: backwardSource,
  bindings: { grad: 'read', weight: 'read', gates: 'read', cells: 'read', state: 'read', out: 'readWrite' },
  parameters: {
    time: 'u32',
    batch: 'u32',
    gradOffset: 'u32',
    weightOffset: 'u32',
    gatesOffset: 'u32',
    cellsOffset: 'u32',
    stateOffset: 'u32',
  },
  constants: { ...constants, COLUMNS: 'const COLUMNS = 1u;' },
});
