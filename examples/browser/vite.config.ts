import { defineConfig } from 'vite';

export default defineConfig({
  // The repository's music and models, as /music and /models.
  publicDir: '../../data',
  build: { target: 'esnext' },
});
