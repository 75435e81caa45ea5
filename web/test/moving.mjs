// A page whose machine changes its network, in whatever namespace it is started
// in: reads one command a line, writes one line of JSON for each.
//   {"do": "open", "origin"} {"do": "start" | "report" | "change"}
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const file = (name) => fileURLToPath(new URL(name, import.meta.url))

if (process.argv[2] === 'build') {
  await build({
    configFile: false,
    logLevel: 'error',
    resolve: { alias: [{ find: /^.*\/api\/session$/, replacement: file('./session.ts') }] },
    build: { outDir: process.argv[3], emptyOutDir: false, target: 'chrome150', lib: { entry: file('./moving.ts'), formats: ['es'], fileName: () => 'moving.js' } },
  })
} else {
  let browser, page
  for await (const line of createInterface({ input: process.stdin })) {
    const ask = JSON.parse(line)
    let reply = null
    if (ask.do === 'open') {
      browser = await chromium.launch({
        executablePath: '/usr/bin/chromium',
        args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-proxy-server', '--autoplay-policy=no-user-gesture-required', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--disable-background-timer-throttling', '--disable-renderer-backgrounding', `--unsafely-treat-insecure-origin-as-secure=${ask.origin}`],
      })
      page = await browser.newPage()
      page.on('pageerror', (e) => process.stderr.write(`${e}\n`))
      page.on('console', (m) => process.stderr.write(`${m.text()}\n`))
      await page.goto(`${ask.origin}/moving.html`)
      await page.waitForFunction('globalThis.moving !== undefined')
    } else reply = await page.evaluate((what) => globalThis.moving[what](), ask.do)
    process.stdout.write(`${JSON.stringify(reply ?? {})}\n`)
  }
  await browser?.close()
}
