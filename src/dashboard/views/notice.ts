/** NOTICE: the bar that says what is wrong, and the line that a screen reader hears of it, once. */
import { need, setAttribute, setHidden, setText } from '../dom.js';
import { type Notice, noticeOf } from '../notices.js';
import type { State } from '../state.js';

export interface NoticeActions {
  readonly retry: () => void;
  readonly unlock: () => void;
}

export function noticeView(actions: NoticeActions): (state: State) => void {
  const bar = need('notice', HTMLDivElement);
  const button = need('notice-button', HTMLButtonElement);
  let does: NonNullable<Notice['button']>['does'] = 'retry';
  let title = '';
  button.addEventListener('click', () => actions[does]());
  return (state) => {
    const notice = noticeOf(state);
    setAttribute(bar, 'data-kind', notice?.kind ?? 'none');
    setHidden(bar, notice === undefined);
    setText(need('notice-title', HTMLElement), notice?.title ?? '');
    setText(need('notice-text', HTMLElement), notice?.text ?? '');
    setHidden(button, notice?.button === undefined);
    setText(button, notice?.button?.label ?? '');
    does = notice?.button?.does ?? does;
    // Only when it is another one: counts that run down would chatter.
    if (title !== (notice?.title ?? ''))
      announce(notice === undefined ? 'The server answers again.' : `${notice.title} ${notice.text}`);
    title = notice?.title ?? '';
  };
}

/** Heard by a screen reader when it has said what it is saying. */
export function announce(text: string): void {
  setText(need('live', HTMLParagraphElement), text);
}
