/** `netloom policy`: policies of running containers. */
import { buildRouteMap } from '@stricli/core';
import { applyCommand } from './apply.ts';
import { listCommand } from './list.ts';
import { removeCommand } from './remove.ts';

export const policyCommand = buildRouteMap({
  routes: { apply: applyCommand, ls: listCommand, rm: removeCommand },
  aliases: { list: 'ls', remove: 'rm' },
  docs: { brief: 'Limit what running containers may reach and who may reach them' },
});
