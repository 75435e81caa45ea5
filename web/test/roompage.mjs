// Builds roompage.ts for the tests of internal/app: node test/roompage.mjs FOLDER
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

await build({
  configFile: false,
  logLevel: 'error',
  build: {
    outDir: process.argv[2],
    emptyOutDir: false,
    target: 'chrome150',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { input: fileURLToPath(new URL('./roompage.ts', import.meta.url)), output: { entryFileNames: 'roompage.js' } },
  },
  worker: { format: 'es' },
})
