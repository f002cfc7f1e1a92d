import test from 'node:test';
import { play } from './play.mjs';

test('the main job in the window, on the practice cluster', () => play({ driver: 'window', on: 'practice' }));
