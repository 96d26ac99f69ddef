/** Models in and out of Hugging Face's layouts and fairseq's checkpoints. */

export { type ModelFiles, type ModelPlace, readModelFiles } from './read.ts';
export { type SaveOptions, saveModel } from './save.ts';
