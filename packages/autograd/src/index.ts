/**
 * Gradients of what tensors do, modules of networks (`nn`) and optimisers (`optim`).
 *
 * @module @dawnchorus/autograd
 */
export { AnomalyError, detectAnomaly } from './anomaly.ts';
export { checkpoint } from './checkpoint.ts';
export { type CustomVjp, type CustomVjpContext, customVjp } from './custom.ts';
export { grad, stopGradient, type ValueAndGradients, valueAndGrad } from './grad.ts';
export { type GradcheckOptions, gradcheck } from './gradcheck.ts';
export { hessian, hessianVectorProduct, jacobian } from './jacobian.ts';
export * as nn from './nn/index.ts';
export * as optim from './optim/index.ts';
export { rules } from './rules/index.ts';
export { defineRule, type Rule, type RuleContext, rule } from './rules/rule.ts';
export { type Outputs, vjp } from './vjp.ts';
