/** SCENARIOS: all that a run may measure, in the order of the report. Owns nothing. */
import type { Scenario } from '../types.js';
import { bulk } from './bulk.js';
import { echo } from './echo.js';
import { http } from './http.js';
import { longpath } from './longpath.js';

// One a line, so that two who add one do not meet.
export const SCENARIOS: readonly Scenario[] = [
  //
  bulk,
  http,
  echo,
  longpath,
];
