export * from './attention.ts';
export * from './init.ts';
export * from './keys.ts';
export * from './layers.ts';
export * from './losses/index.ts';
export * from './module.ts';
