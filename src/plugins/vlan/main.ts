/** The program of this type: src/main.ts. */
import { recorded } from '../../attach/recorded.ts';
import { execute } from '../../cni/execute.ts';
import { vlan } from './plugin.ts';

execute(recorded(vlan));
