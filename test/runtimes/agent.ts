/** What the agent must report after a runtime's tests have gone through it. */
import type { TestFn } from 'ava';
import type { Setting } from './contract.ts';

/** Register it last. @param types the plugins of the networks that were used */
export function throughAgent(test: TestFn, setting: () => Setting, types: readonly string[]): void {
  test.serial('all of these calls went through the agent', (t) => {
    const { calls, declined, broken } = setting().machine.agentStatus();
    for (const type of types) {
      const [adds, dels] = ['ADD', 'DEL'].map((command) =>
        calls.find((of) => of.type === type && of.command === command),
      );
      t.true((adds?.count ?? 0) >= 1, `${type}: ${JSON.stringify(calls)}`);
      t.true((dels?.count ?? 0) >= (adds?.count ?? 0), type);
    }
    t.is(declined, 0);
    t.is(broken, 0);
  });
}
