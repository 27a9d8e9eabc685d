/** FUZZING after the login: straight into a Connection (phases.ts has the split).
 *  `npm run fuzz` plays more. */
import t from 'tap';
import { fuzzed } from './in_tap.js';

fuzzed(t, ['connection']);
