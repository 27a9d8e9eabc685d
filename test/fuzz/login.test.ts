/** FUZZING before the login, straight into a UserAuth; and sealed packets into the decoder (phases.ts has the split).
 *  `npm run fuzz` plays more. */
import t from 'tap';
import { fuzzed } from './in_tap.js';

fuzzed(t, ['login', 'unseal']);
