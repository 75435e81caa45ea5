import { fileURLToPath } from 'node:url'
import react from '@vitejs/plugin-react'
import optimizeLocales from '@react-aria/optimize-locales-plugin'
import { defineConfig, type Plugin } from 'vite'

/**
 * react-aria's LiveAnnouncer empties its region by `innerHTML = ''`. Under
 * `require-trusted-types-for 'script'` that throws, and React then unmounts the
 * whole page at an arrow key in a number or date field. The two places are
 * rewritten; a build in which they are not found exactly so fails, because a
 * new version of the library may have moved them.
 */
function emptyWithoutInnerHTML(): Plugin {
  const wanted = 2
  let hits = 0
  return {
    name: 'kuule-empty-without-inner-html',
    enforce: 'pre',
    apply: 'build',
    buildStart() {
      hits = 0
    },
    transform(code, id) {
      if (!/live-announcer[\\/].*LiveAnnouncer\.m?js$/.test(id)) return null
      hits += code.split(".innerHTML = '';").length - 1
      return { code: code.replaceAll(".innerHTML = '';", '.replaceChildren();'), map: null }
    },
    buildEnd(error) {
      if (error === undefined && hits !== wanted) {
        this.error(`LiveAnnouncer: ${hits} places replaced, expected ${wanted}: read the library's new version`)
      }
    },
  }
}

// `--mode journey` builds the same pages with a stand-in for sealing and media,
// so that test/pages.mjs can show every screen without a server. It is never signed.
const standIns = [
  { find: /^.*\/media\/seal$/, replacement: fileURLToPath(new URL('./test/seal.ts', import.meta.url)) },
  { find: /^\.\/peer$/, replacement: fileURLToPath(new URL('./test/peer.ts', import.meta.url)) },
]

export default defineConfig(({ mode }) => ({
  resolve: { alias: mode === 'journey' ? standIns : [] },
  plugins: [
    react(),
    { ...(optimizeLocales.vite({ locales: ['fi-FI', 'en-US', 'ar-AE'] }) as Plugin), enforce: 'pre' },
    emptyWithoutInnerHTML(),
  ],
  build: {
    outDir: mode === 'journey' ? 'test/dist' : 'dist',
    chunkSizeWarningLimit: 800,
    target: 'chrome150',
    // The content security policy allows no data: addresses and no inline script.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  worker: { format: 'es' },
}))
