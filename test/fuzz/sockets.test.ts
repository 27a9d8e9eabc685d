/** FUZZING through sockets and ciphers, into a whole Endpoint: before there are keys, and everything at once (phases.ts has the split).
 *  `npm run fuzz` plays more. */
import t from 'tap';
import { fuzzed } from './in_tap.js';

fuzzed(t, ['kex', 'whole']);
