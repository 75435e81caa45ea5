// A browser in whatever network it is started in: measures the legs as the
// self-test does, and connects to the media server. Started by the test of
// internal/app in a network namespace with a firewall; reads one line of JSON
// and writes one.
//   {"origin", "resolve": "turn.name address"} -> {"test": {...}, "leg": {...}}
import { chromium } from 'playwright-core'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const file = (name) => fileURLToPath(new URL(name, import.meta.url))

if (process.argv[2] === 'build') {
  await build({
    configFile: false,
    logLevel: 'error',
    resolve: { alias: [{ find: /^.*\/api\/session$/, replacement: file('./session.ts') }] },
    build: { outDir: process.argv[3], emptyOutDir: false, target: 'chrome150', lib: { entry: file('./paths.ts'), formats: ['es'], fileName: () => 'paths.js' } },
  })
} else {
  let text = ''
  for await (const part of process.stdin) text += part
  const scene = JSON.parse(text)
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-proxy-server', '--autoplay-policy=no-user-gesture-required', `--host-resolver-rules=MAP ${scene.resolve}`],
  })
  try {
    const page = await browser.newPage()
    page.on('pageerror', (e) => process.stderr.write(`${e}\n`))
    await page.goto(`${scene.origin}/`)
    await page.waitForFunction('globalThis.paths !== undefined')
    // A browser that has just started does not know the device's own authorities yet.
    await page.waitForTimeout(3000)
    const leg = await page.evaluate((ms) => globalThis.paths.connect(ms), 20_000)
    const test = scene.measure ? await page.evaluate(() => globalThis.paths.measure()) : null
    process.stdout.write(JSON.stringify({ leg, test }))
  } finally {
    await browser.close()
  }
}
