/** `layers.0.attention.qProj.weight` -> `layers.0.attention.q_proj.weight`, Hugging Face's spelling. */
export function huggingFaceName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
