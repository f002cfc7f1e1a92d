import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  plugins: [svelte()],
  clearScreen: false,
  resolve: {
    alias: {
      $platform: at('./src/platform/index.ts'),
      $kit: at('./src/kit/index.ts'),
      $text: at('./src/text/index.ts'),
      $state: at('./src/state'),
    },
    // Under test the browser build of Svelte is wanted, not its server build.
    ...(process.env.VITEST ? { conditions: ['browser'] } : {}),
  },
  server: { port: 1420, strictPort: true, host: '127.0.0.1' },
  build: {
    // WebKitGTK 2.40 (Safari 16.4 level), WebView2 evergreen, WKWebView of macOS 13.
    target: ['safari16.4', 'chrome111'],
    sourcemap: false,
    // The editor is one lazy chunk of about this size.
    chunkSizeWarningLimit: 700,
  },
  test: { environment: 'happy-dom', include: ['test/**/*.test.ts'] },
});
