/** SCENARIOS: all that a run may measure, in the order of the report. Owns nothing. */
import type { Scenario } from '../types.js';
import { bulk } from './bulk.js';

export const SCENARIOS: readonly Scenario[] = [
  bulk, //
];
