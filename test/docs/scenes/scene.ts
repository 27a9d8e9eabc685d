/** SCENE: the commands and configs below one heading of the docs, played against real programs. Owns nothing. */
import type { Test } from 'tap';
import type { DocSection } from '../../support/doc_section.js';
import type { Stage } from '../../support/doc_stage.js';
import type { Program } from '../../support/programs.js';

export interface Scene {
  readonly file: string;
  /** As it stands there, without its `#`. */
  readonly heading: string;
  readonly needs: readonly Program[];
  play(t: Test, stage: Stage, section: DocSection): Promise<void>;
}

/** Where the docs' servers listen: on all addresses, at a port that may be taken here. */
export const ANYWHERE = ['listen: ["0.0.0.0:2222", "[::]:2222"]', 'listen: ["127.0.0.1:0"]'] as const;
