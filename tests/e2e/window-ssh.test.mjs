import test from 'node:test';
import { play } from './play.mjs';

test('the main job in the window, on a real API server and Git over ssh', () => play({ driver: 'window', on: 'ssh' }));
