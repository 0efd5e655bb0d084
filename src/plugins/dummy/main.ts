/** The program of this type: src/main.ts. */
import { recorded } from '../../attach/recorded.ts';
import { execute } from '../../cni/execute.ts';
import { dummy } from './plugin.ts';

execute(recorded(dummy));
