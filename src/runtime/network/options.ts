/** The options of a network, `-o NAME=VALUE`, as keys of its conflist. */

import { NetloomError } from '../../error.ts';
import { nearest } from '../../nearest.ts';
import type { Json } from '../conflist.ts';
import type { Driver, DriverName } from './driver.ts';

/**
 * The keys for options given as `NAME=VALUE`.
 * @throws NetloomError invalid-option, with the options that exist
 */
export function keysOf(name: DriverName, driver: Driver, given: readonly string[]): Json {
  const keys: Record<string, unknown> = {};
  for (const pair of given) {
    for (const [key, value] of Object.entries(keysOfOne(name, driver, pair))) {
      const before = keys[key];
      keys[key] = isObject(before) && isObject(value) ? { ...before, ...value } : value;
    }
  }
  if (driver.parent !== undefined && keys['master'] === undefined) {
    throw new NetloomError('invalid-option', `A network of the driver "${name}" needs a link of the host`, {
      hint: 'name it with -o parent=LINK',
    });
  }
  if (driver.hasStore === true) refuseOtherThanOneStore(name, keys['store']);
  return keys;
}

function keysOfOne(name: DriverName, driver: Driver, pair: string): Json {
  const equals = pair.indexOf('=');
  const key = equals < 0 ? pair : pair.slice(0, equals);
  const option = Object.hasOwn(driver.options, key) ? driver.options[key] : undefined;
  if (option === undefined || equals < 0) {
    const known = Object.entries(driver.options).filter(([option]) => !option.includes('.'));
    const meant = nearest(key, Object.keys(driver.options));
    throw new NetloomError(
      'invalid-option',
      option === undefined
        ? `The driver "${name}" has no option "${key}"${meant === undefined ? '' : `, did you mean "${meant}"?`}`
        : `"-o ${pair}" has no value, expected "-o ${key}=VALUE"`,
      {
        hint: ['its options are', ...known.map(([option, { about }]) => `  ${option.padEnd(13)}  ${about}`)].join(
          '\n  ',
        ),
      },
    );
  }
  const value = pair.slice(equals + 1);
  try {
    return option.keys(value);
  } catch (expected) {
    throw new NetloomError('invalid-option', `"${key}" is ${JSON.stringify(value)}, expected ${String(expected)}`);
  }
}

/** Whether the parent may be missing. Of an option given twice, the last one counts. */
export function isParentLater(given: readonly string[]): boolean {
  return given.findLast((pair) => pair.startsWith('parent_later=')) === 'parent_later=true';
}

function refuseOtherThanOneStore(name: DriverName, store: unknown): void {
  const kinds = isObject(store) ? ['path', 'endpoints'].filter((key) => key in store) : [];
  if (kinds.length === 1) return;
  throw new NetloomError(
    'invalid-option',
    `A network of the driver "${name}" needs a store that all its hosts reach${kinds.length > 1 ? ', and not two' : ''}`,
    { hint: 'name it with -o path=DIRECTORY or -o etcd=http://HOST:2379' },
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
