/** Labels a folder in a process of its own, to be killed: node labels-child.ts DATA OUT PAUSE */
import { labelFolder } from '../src/labels/write.ts';
import { fakeTeacher } from './labels-support.ts';

const [data, out, pause] = process.argv.slice(2);
// From here on there is something to be interrupted: loading the program takes longer than labelling.
console.log('ready');
const result = await labelFolder({ data, out, teacher: fakeTeacher({ pause: Number(pause) }), shardBytes: 1500 });
console.log(JSON.stringify(result));
