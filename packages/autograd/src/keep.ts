import { scope, type Tensor } from '@dawnchorus/tensor';

/** Makes a tensor that no scope disposes: parameters and moments live until their owner is disposed. */
export function keep(make: () => Tensor): Tensor {
  return scope(() => make().retain());
}
