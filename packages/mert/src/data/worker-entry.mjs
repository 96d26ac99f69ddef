// Where a thread begins: on Node 20 what reads TypeScript does not come along into threads.
import { register } from 'tsx/esm/api';

register();
await import('./worker.ts');
