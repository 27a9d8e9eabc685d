/** CONVERSATION: the peer as a hook sees it that has questions (keyboard-interactive, RFC 4256). Types alone: dialogue.ts makes
 *  one. */

/** One question. `prompt` is shown as it is, so it ends in `: ` where it should. */
export interface Prompt {
  readonly prompt: string;
  /** Is what is typed shown? Default false. */
  readonly echo?: boolean;
}

/** What the peer is shown above the questions; most clients show it as text. Default: nothing. */
export interface PromptHeading {
  readonly name?: string;
  readonly instruction?: string;
}

/** The peer, for a hook that has questions (keyboard-interactive, RFC 4256). */
export interface Conversation {
  /** Asks all questions at once; none, with an instruction, only tells something. At most 16 of at most 1024 characters each,
   *  without control characters (an instruction may have several lines). May be called again for more, one after the other.
   *  The time that the peer takes does not count for `timeouts.hook`; `auth.loginGraceTime` bounds it.
   *  @returns one answer for each question, in order: at most 1024 bytes each, perhaps empty
   *  @throws where the peer has left or tries something else instead, and TunnelError HOOK_FAILED for questions that cannot be
   *  asked; leave it uncaught: it denies */
  ask(prompts: readonly Prompt[], heading?: PromptHeading): Promise<readonly string[]>;
}
