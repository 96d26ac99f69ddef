export * from './atomic.ts';
export * from './npy.ts';
export * from './safetensors.ts';
