/** CODES: a program's own second factor: the code of an app for everybody, and a wrong URI for `broken`. */
import { type Conversation, type Identity, TunnelServer } from '../../../src/index.js';
import { URI } from '../totp.js';

export default class Codes extends TunnelServer {
  override checkAuthPassword(_username: string, password: string): boolean {
    return password === 'foo';
  }
  override checkAuthPublicKey(): boolean {
    return true;
  }
  override async checkSecondFactor({ user }: Identity, conversation: Conversation): Promise<boolean> {
    const [code = ''] = await conversation.ask([{ prompt: 'Verification code: ' }]);
    return this.verifyCode(user, user === 'broken' ? 'otpauth://' : URI, code);
  }
}
