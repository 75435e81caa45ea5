// Walks through the pages in Debian's Chromium, by keyboard where people would,
// under the agent's own content security policy: axe, layout and behaviour in
// every language at 1280 and 390 px. Screenshots go to test/shots.
//   npm run journey [-- words of the scene's name]
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { chromium } from 'playwright-core'
import { deskWalks } from './deskpages.mjs'
import { kioskWalks } from './kioskpages.mjs'
import { listen } from './listen.mjs'
import { listeningWalks } from './listening.mjs'
import { writeRecording } from './recording.mjs'
import { serve } from './server.mjs'
import { picture } from './picture.mjs'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const shots = new URL('./shots/', import.meta.url).pathname
mkdirSync(shots, { recursive: true })
const only = process.argv.slice(2)

const server = await serve(0, process.env.PAGES ?? './dist/')
const released = await serve(0, '../dist/')
const origin = `http://pages.localhost:${server.port}`
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', '--autoplay-policy=no-user-gesture-required', '--disable-renderer-backgrounding', '--disable-background-timer-throttling', '--disable-backgrounding-occluded-windows'],
})

const sizes = { wide: { width: 1280, height: 860 }, narrow: { width: 390, height: 844 } }
let failed = 0

/** Walks of one scene are one after the other, since they share its state; scenes are beside each other. */
const scenes = new Map()
const beside = 3

function walk(name, at, steps) {
  const title = `${name} ${at.language ?? 'fi'} ${at.size ?? 'wide'}`
  if (only.length > 0 && !only.every((w) => title.includes(w))) return
  const key = `${at.at ?? origin} ${at.code}`
  scenes.set(key, [...(scenes.get(key) ?? []), () => go(title, at, steps)])
}

async function walkAll() {
  const waiting = [...scenes.values()].sort((a, b) => b.length - a.length)
  await Promise.all(
    Array.from({ length: beside }, async () => {
      for (let walks = waiting.shift(); walks !== undefined; walks = waiting.shift()) for (const one of walks) await one()
    }),
  )
}

/** One walk: a fresh window at a scene, in a language and width. */
async function go(title, { code, language = 'fi', size = 'wide', at = origin }, steps) {
  const context = await browser.newContext({ viewport: sizes[size], permissions: ['camera', 'microphone'], reducedMotion: 'reduce' })
  const page = await context.newPage()
  page.setDefaultTimeout(Number(process.env.PATIENCE ?? 90_000))
  const wrong = []
  page.on('console', (m) => m.type() === 'error' && !/status of 4(0[139]|22)|ERR_EMPTY_RESPONSE/.test(m.text()) && wrong.push(m.text()))
  page.on('pageerror', (e) => wrong.push(String(e)))
  page.on('request', (r) => !r.url().startsWith(at) && !/^(blob|data):/.test(r.url()) && wrong.push(`request outside the installation: ${r.url()}`))
  await page.addInitScript((l) => {
    sessionStorage.setItem('kuule.language', l)
    document.addEventListener('securitypolicyviolation', (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI} ${e.sample}`))
  }, language)
  try {
    await page.goto(`${at}/${code === null ? '' : `#start=${code}`}`)
    await page.locator('main h1').first().waitFor({ state: 'attached' })
    await steps({ page, look: (label) => look(page, `${title} ${label}`) })
    assert.deepEqual(wrong, [], 'errors on the page')
    console.log(`ok    ${title}`)
  } catch (error) {
    failed++
    await picture(page, `${shots}FAILED ${title}.png`.replaceAll(' ', '-'))
    console.log(`FAIL  ${title}\n      ${String(error.stack ?? error).split('\n').slice(0, 6).join('\n      ')} ${wrong.join('\n')}`)
  } finally {
    await context.close()
  }
}

/** What must hold of every screen: axe, nothing cut off, nothing untranslated; axe alone passes blank and mirrored pages. */
async function look(page, label) {
  await page.waitForTimeout(250)
  const session = await page.context().newCDPSession(page)
  const { frameTree } = await session.send('Page.getFrameTree')
  // An isolated world keeps the page's own policy in force while axe runs.
  const { executionContextId } = await session.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id, worldName: 'axe' })
  await session.send('Runtime.evaluate', { contextId: executionContextId, expression: axe })
  const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
    contextId: executionContextId, awaitPromise: true, returnByValue: true,
    expression: `axe.run(document, { runOnly: ['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','EN-301-549','best-practice'], rules: { region: { enabled: false } } }).then(r => JSON.stringify(r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.target + ' ' + n.failureSummary).slice(0, 3).join(' | '))))`,
  })
  assert.equal(exceptionDetails, undefined, 'axe ran')
  const violations = JSON.parse(result.value)
  await session.detach()
  await picture(page, `${shots}${label}.png`.replaceAll(' ', '-'))
  assert.deepEqual(violations, [], `axe: ${label}`)

  const facts = await page.evaluate(() => {
    const main = document.querySelector('main')
    const heading = document.querySelector('main h1:not(.hidden), main h2')
    const box = heading?.getBoundingClientRect()
    const bounds = heading?.parentElement?.getBoundingClientRect()
    const range = document.createRange()
    if (heading) range.selectNodeContents(heading)
    const text = range.getBoundingClientRect()
    return {
      words: main?.innerText.trim().length ?? 0,
      overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      keys: /(?<![\w.])(shared|applicant|staff|problem|way)\.[a-z]+/.exec(document.body.innerText)?.[0] ?? null,
      braces: document.body.innerText.includes('{{'),
      dir: document.documentElement.dir, lang: document.documentElement.lang,
      startGap: box && bounds && getComputedStyle(heading).textAlign !== 'center' ? (document.documentElement.dir === 'rtl' ? box.right - text.right : text.left - box.left) : 0,
      small: [...document.querySelectorAll('button, [role=radio], [role=checkbox]')].filter((b) => { const r = b.getBoundingClientRect(); return r.width > 0 && (r.height < 40 || r.width < 28) }).map((b) => b.innerText),
      font: getComputedStyle(document.body).fontFamily,
    }
  })
  assert.ok(facts.words > 20, `${label}: the page is not blank`)
  assert.ok(facts.overflow <= 0, `${label}: nothing stands out by ${facts.overflow} px`)
  assert.equal(facts.keys, null, `${label}: no untranslated key`)
  assert.equal(facts.braces, false, `${label}: no value left out`)
  assert.equal(facts.dir, ['ar', 'fa', 'prs', 'ckb', 'ps'].includes(facts.lang) ? 'rtl' : 'ltr', label)
  assert.ok(Math.abs(facts.startGap) < 3, `${label}: headings begin at the start of the line, not ${facts.startGap} px away`)
  assert.deepEqual(facts.small, [], `${label}: everything to press is large enough`)
}

/** Waits until something with that name is there, presses Tab until it has the focus, then Enter or another key. */
async function press(page, name, key = 'Enter', limit = 60) {
  const there = () =>
    page.evaluate(
      ([source, flags]) => [...document.querySelectorAll('button, input, summary, a')].some((on) => new RegExp(source, flags).test(on.getAttribute('aria-label') ?? on.textContent)),
      [name.source, name.flags],
    )
  for (const end = Date.now() + 45_000; !(await there()) && Date.now() < end; ) await page.waitForTimeout(50)
  for (let i = 0; i < limit; i++) {
    const at = await page.evaluate(() => {
      const on = document.activeElement
      return on?.matches('button, input, summary, a') ? (on.getAttribute('aria-label') ?? on.textContent) : ''
    })
    if (name.test(at)) return page.keyboard.press(key)
    await page.keyboard.press('Tab')
  }
  throw new Error(`the keyboard does not reach ${name}`)
}

const everySize = ['wide', 'narrow']

kioskWalks({ walk, scenes: server.scenes })
deskWalks({ walk, scenes: server.scenes, press, sizes: everySize })

for (const language of ['fi', 'en', 'ar']) {
  for (const size of everySize) {
    walk('start', { code: null, language, size }, async ({ look }) => look('needed'))
    walk('terminal', { code: 'applicant', language, size }, async ({ page, look }) => {
      await press(page, /ymmärtänyt|understood|فهمت/)
      await press(page, /Kokeile|Try camera|جرّب/)
      await page.locator('.self-test video').waitFor()
      await look('home')
      await press(page, /^Ääniasetukset|^Sound settings|^إعدادات الصوت/)
      await page.getByRole('dialog').waitFor()
      await look('sound-settings')
      await page.keyboard.press('Escape')
      await page.getByRole('dialog').waitFor({ state: 'detached' })
      // The fake microphone beeps by itself: what the test makes of it is told in words.
      await press(page, /^Kokeile huoneen|^Test the room|^اختبار صوت الغرفة/)
      await page.locator('.sound-test .notice').first().waitFor({ timeout: 45_000 })
      await look('sound-test')
      await press(page, /odotushuoneeseen|waiting room|غرفة الانتظار/)
      await page.locator('.sign.on').waitFor()
      await page.locator('.tile video').first().waitFor()
      await look('room')
      await press(page, /^Sulje mikrofoni|^Turn microphone off|^إغلاق الميكروفون/)
      await page.getByRole('button', { name: /^Avaa mikrofoni|^Turn microphone on|^تشغيل الميكروفون/ }).first().waitFor()
      server.scenes.get('applicant').show(true)
      await page.locator('figure.screen video').waitFor()
      await look('screen')
      server.scenes.get('applicant').show(false)
      await page.locator('figure.screen').waitFor({ state: 'detached' })
      await press(page, /tauon|break|استراحة/)
      await page.locator('.notice.success').waitFor()
      await look('break')
      assert.deepEqual(server.scenes.get('applicant').asked.filter(([type]) => type === 'raise').map(([, b]) => b.what), ['recording-acknowledged', 'break'])
      // H1: without valid heartbeats the page leaves "on record" within 2 s, whatever the server's phase says.
      server.scenes.get('applicant').silent = true
      await page.locator('.sign.checking').waitFor({ timeout: 10_000 })
      await look('unconfirmed')
    })
    // B21: a picture is taken once the person was told, and again where others were in it; what a machine says of it is not here.
    walk('face', { code: `applicant-face-${language}-${size}-waiting`, language, size }, async ({ page, look }) => {
      const scene = () => server.scenes.get(`applicant-face-${language}-${size}-waiting`)
      await page.evaluate(() => {
        window.said = []
        const { play } = globalThis.HTMLMediaElement.prototype
        globalThis.HTMLMediaElement.prototype.play = function () {
          if (this.src.endsWith('.ogg')) window.said.push(this.src)
          return play.call(this)
        }
      })
      await press(page, /ymmärtänyt|understood|فهمت/)
      await press(page, /odotushuoneeseen|waiting room|غرفة الانتظار/)
      await page.getByText(/^Otamme teistä kuvan|^We take a picture|^سنلتقط صورة/).waitFor()
      await look('told')
      await page.locator('.face-check .count').waitFor()
      await page.getByText(/^Kuvassa on toinenkin|^Somebody else|^يوجد شخص آخر/).waitFor()
      await look('two')
      await page.getByText(/^Kiitos\. Kuva|^Thank you\. The picture|^شكرًا\. تم/).waitFor()
      await look('thanks')
      const sent = scene().faces.sent
      assert.deepEqual(sent.map((b) => [b.occasion, b.format, b.last]), [['entered', 'image/jpeg', false], ['entered', 'image/jpeg', false]])
      assert.ok(sent.every((b) => Buffer.from(b.image, 'base64').subarray(0, 3).toString('hex') === 'ffd8ff'), 'pictures of the camera')
      assert.match((await page.evaluate(() => window.said)).join(' '), new RegExp(`${language}-ask.*${language}-again`), 'it was said aloud before each')
      assert.doesNotMatch(await page.locator('body').innerText(), /reference|kuule-face|sama henkilö|same person/, 'nothing of what a machine says')
    })
    walk('face-room', { code: `applicant-face-${language}-${size}`, language, size }, async ({ page, look }) => {
      const scene = () => server.scenes.get(`applicant-face-${language}-${size}`)
      await press(page, /ymmärtänyt|understood|فهمت/)
      await press(page, /odotushuoneeseen|waiting room|غرفة الانتظار/)
      await page.getByText(/^Kiitos\. Kuva|^Thank you\. The picture|^شكرًا\. تم/).waitFor()
      // The interviewer asks; the person does not want to.
      scene().faces.asked = true
      await page.locator('.face-check').waitFor()
      await look('asked')
      await press(page, /^Jatka ilman|^Go on without|^المتابعة بدون/)
      await page.getByText(/^Kuvaa ei otettu|^No picture was taken|^لم تُلتقط أي/).waitFor()
      await look('declined')
      // The camera is gone: a name for it, and a way on.
      await page.evaluate(() => Object.defineProperty(globalThis.MediaStreamTrack.prototype, 'readyState', { get: () => 'ended' }))
      scene().faces.asked = true
      await page.getByText(/^Kamera ei toimi|^The camera does not|^الكاميرا لا تعمل/).waitFor()
      await look('gone')
      assert.deepEqual(scene().faces.sent.map((b) => b.reason ?? b.occasion), ['entered', 'declined', 'camera-gone'])
    })
    walk('review', { code: 'applicant-review', language, size }, async ({ page, look }) => {
      await press(page, /Lue pöytäkirja|Read the transcript|اقرأ المحضر/)
      await page.locator('h1').waitFor()
      await look('notice')
      await press(page, /Olen saanut|I have received|استلمت/)
      await page.locator('.line.large').waitFor()
      await press(page, /Seuraava|Next line|السطر التالي/)
      await press(page, /Lisää korjaus|Add a correction|إضافة تصحيح/)
      await page.locator('textarea').fill(language === 'ar' ? 'غادرت في الرابع من أيار.' : 'Lähdin neljäntenä päivänä.')
      await press(page, /^Lähetä$|^Send$|^إرسال$/)
      await page.locator('.amendment').waitFor()
      await look('line')
      // J3: confirming waits until the entire content was shown.
      assert.ok(await page.getByRole('button', { name: /^Vahvistan|^I confirm|^أؤكد/ }).isDisabled())
      await press(page, /Näytä kaikki|Show all|إظهار كل/)
      await press(page, /^Vahvistan|^I confirm|^أؤكد/)
      await page.locator('.notice.success').nth(1).waitFor()
      await look('confirmed')
    })
  }
  walk('ticket', { code: 'applicant-ticket', language }, async ({ page, look }) => {
    // Who sits beside the applicant can sign in here.
    await page.getByRole('button', { name: /^Kirjaudu|^Sign in|^تسجيل الدخول/ }).waitFor()
    await look('waits')
    await press(page, /odotushuoneeseen|waiting room|غرفة الانتظار/)
    await page.getByRole('heading', { level: 2 }).nth(1).waitFor()
  })
  walk('nothing', { code: 'applicant-nothing', language }, async ({ look }) => look('home'))
  walk('refused', { code: 'applicant-refused', language, size: 'narrow' }, async ({ page, look }) => {
    await press(page, /ymmärtänyt|understood|فهمت/)
    await press(page, /odotushuoneeseen|waiting room|غرفة الانتظار/)
    await page.locator('.notice').waitFor()
    await page.getByText('admission.counsel.premises').waitFor()
    await look('way')
  })
  walk('used', { code: 'used', language }, async ({ look }) => look('link'))
}

for (const language of ['fi', 'en']) {
  for (const size of everySize) {
    walk('interviewer', { code: 'interviewer', language, size }, async ({ page, look }) => {
      await look('day')
      await press(page, /^Avaa huone|^Open the room/)
      await page.locator('.knocking').waitFor()
      await look('knock')
      await press(page, /Katso, kuka|See who/)
      await page.getByRole('dialog').waitFor()
      assert.equal(await page.locator('.who').count(), 2, 'D1: everyone at the device is named')
      assert.equal(await page.locator('.checks li').count(), 5, 'what holds of the device is said once')
      await look('who')
      await page.getByRole('checkbox').focus()
      await page.keyboard.press('Space')
      await press(page, /^Päästä sisään|^Let in/)
      await page.locator('.tile.large video').waitFor()
      await press(page, /Aloita tallenne|Start the record/)
      await page.locator('.sign.on').waitFor()
      await page.locator('.asked').waitFor()
      // B21: the kiosk's picture stands beside the live one until the interviewer says who it is.
      await page.locator('img[src^="blob:"]').waitFor()
      assert.ok(await page.locator('img[src^="blob:"]').evaluate((i) => i.naturalWidth > 0), 'the picture of the kiosk is shown')
      await look('portrait')
      // What a machine says is words: which engine, by which line, that nobody measured it. No share, no bar.
      const advice = page.locator('.advice')
      await advice.getByText(/sama henkilö|same person/).waitFor()
      await advice.getByText(/errors nobody measured|virheitä ei ole mitattu/).waitFor()
      assert.equal(await page.locator('.portrait').locator('progress, meter, [role="progressbar"], [role="meter"]').count(), 0, 'no bar')
      assert.doesNotMatch(await advice.innerText(), /%|\d{5}/, 'no share')
      await press(page, /^Vertaa uudelleen|^Compare again/)
      await page.getByText(/näyttää olevan eri|show another person/).waitFor()
      await look('another')
      await press(page, /^En ole varma|^I am not sure/)
      await page.locator('.portrait .notice.warning').waitFor()
      await look('doubt')
      server.scenes.get('interviewer').faces.next = ['not-compared', 'several-faces']
      await press(page, /^Vertaa uudelleen|^Compare again/)
      await page.getByText(/oli muitakin|Others were before/).waitFor()
      await look('two')
      await press(page, /^Tämä on Samir|^This is Samir/)
      await page.locator('img[src^="blob:"]').waitFor({ state: 'detached' })
      await page.getByText(/Samir Haddad tunnistettu|Samir Haddad recognised/).waitFor()
      assert.deepEqual(server.scenes.get('interviewer').faces.compared.map((c) => c.said), ['confirmed', 'doubted', ''], 'who it is was said of each')
      // The transcript by keyboard alone.
      await press(page, /^Uusi rivi|^New line/)
      await page.keyboard.type('Kertokaa omin sanoin, miksi lähditte.')
      await page.keyboard.press('Enter')
      await page.keyboard.type('Minua uhattiin, koska olin töissä lehdessä.')
      await page.keyboard.press('Enter')
      await page.keyboard.press('Control+4')
      await page.keyboard.type('Tulkki pyytää toistamaan.')
      await page.locator('.save.saved').waitFor()
      assert.deepEqual(server.scenes.get('interviewer').saves.at(-1)?.kind, 'note')
      await look('hearing')
      // E10: the applicant's face stays, however far the page is scrolled and however small it is.
      const tile = page.locator('.tile.large')
      assert.ok(await tile.isVisible())
      // A lost connection says so, keeps the words and sends them again.
      server.scenes.get('interviewer').cut = true
      await page.keyboard.type(' Kyllä.')
      await page.locator('.save.unsaved').waitFor()
      if (size === 'wide') await look('unsaved')
      server.scenes.get('interviewer').cut = false
      await page.locator('.save.saved').waitFor()
      await press(page, /^Tauko|^Break/)
      await page.getByRole('dialog').waitFor()
      await page.keyboard.type('Hakija pyysi taukoa.')
      await press(page, /^Tauko|^Break/)
      await page.locator('.sign.off').waitFor()
      await look('paused')
      await press(page, /Päätä puhuttelu|End the interview/)
      await page.getByRole('dialog').waitFor()
      await press(page, /Päätä puhuttelu|End the interview/)
      await page.getByRole('heading', { level: 1, name: /jälkeen|After/ }).waitFor()
    })
    walk('requests', { code: 'interviewer-asked', language, size }, async ({ page, look }) => {
      await page.getByLabel(/perustelu|Reason/).fill('Sovittu yksikössä')
      await look('waiting')
      await press(page, /^Salli|^Allow/)
      await page.getByText(/Mikään pyyntö|No request/).waitFor()
      await press(page, /^Pyydä lupaa|^Ask to listen/)
      await look('ask')
    })
    walk('after', { code: 'interviewer-after', language, size }, async ({ page, look }) => {
      await press(page, /^Pöytäkirja|^Transcript/)
      await page.locator('.line').first().waitFor()
      const s = server.scenes.get('interviewer-after')
      s.record.after.deliveries.forEach((d) => (d.received = d.at))
      const content = JSON.parse(s.record.sealed.content)
      s.record.after.amendments = [{ amendment: 'amd_1', number: 1, utterance: content.utterances[2].utterance, text: 'Lähdin neljäntenä päivänä.', by: content.participants[1].participant, at: s.record.sealed.at, reply: null }]
      await page.locator('.reply').waitFor({ timeout: 45_000 })
      await look('amendment')
      await page.locator('.reply input').fill('Oikaistu hakijan mukaan.')
      await press(page, /Ota huomioon|Take into account/)
      s.record.after.ending = { outcome: 'confirmed-with-amendments', reasons: '' }
      await press(page, /Sinetöi versio 2|Seal version 2/, 'Enter', 200)
      await page.getByText(/Versio 2 on|Version 2 is/).waitFor()
      await page.getByText(/Säilytetään .+ asti|Kept until/).first().waitFor() // L1
      await page.getByText(/tavallisella levyllä|ordinary disk/).waitFor()
      await page.getByText(/katosi 3 min 5 s|^.*3 min 5 s of speech/).first().waitFor() // M4
      await page.getByText(/katosi 0,4 s|0\.4 s of speech/).first().waitFor()
      await page.getByText(/Muutoksenhaku|Appeal/).waitFor() // L2
      await page.getByText('SALASSA PIDETTÄVÄ, JulkL 24.1 § 24, 31c k').waitFor() // L6
      assert.equal(await page.getByText(/recording kept five years|destroyed at once/).count(), 0, 'no source of law in another language')
      await look('sealed')
    })
    walk('booking', { code: 'interviewer', language, size }, async ({ page, look }) => {
      await press(page, /Varaa puhuttelu|Book an interview/)
      await page.getByRole('dialog').locator('input').first().waitFor()
      // The trap that blanked the page: an arrow key in a date field under Trusted Types.
      await page.getByRole('spinbutton').first().focus()
      await page.keyboard.press('ArrowUp')
      await page.keyboard.press('ArrowDown')
      assert.ok(await page.getByRole('dialog').isVisible(), 'the page is still there')
      await page.getByLabel(/^Hakijan syntymäaika|date of birth/).fill('31.2.1990')
      await page.getByRole('dialog').getByRole('button', { name: /^Varaa$|^Book$/ }).press('Enter')
      await page.locator('.wrong').first().waitFor() // A5
      await page.locator('.wrong', { hasText: /Tällaista syntymäaikaa|no date of birth/ }).waitFor()
      await look('form')
    })
    walk('counsel', { code: 'counsel', language, size }, async ({ page, look }) => {
      await look('day')
      await press(page, /odotushuoneeseen|waiting room/)
      await page.locator('.tile video').nth(1).waitFor()
      // How each person's connection is, in bars and in words.
      const bars = page.locator('.tile .bars')
      await bars.nth(1).waitFor()
      assert.ok((await bars.allInnerTexts()).every((words) => words.trim() !== ''), 'bars without words')
      await press(page, /puheenvuoroa|ask to speak/)
      await page.locator('.notice.success').waitFor()
      await page.locator('.details summary').press('Enter')
      await page.getByText('AEAD_AES_256_GCM').waitFor()
      await look('room')
      // G2 by keyboard: the interpreter beside the applicant has a voice of its own.
      await page.getByRole('radio', { checked: true }).focus()
      await page.keyboard.press('ArrowDown')
      await page.getByRole('radio', { checked: true }).and(page.getByRole('radio').nth(1)).waitFor({ state: 'attached' }) // the next mix
      await page.keyboard.press('Control+Alt+KeyK')
      await page.getByRole('dialog').locator('pre', { hasText: 'connection connected' }).waitFor()
      const numbers = await page.locator('pre.numbers').innerText()
      assert.doesNotMatch(numbers, /Haddad|Nasser|Lindqvist|Virtanen|\d+\.\d+\.\d+\.\d+/, 'no names, no addresses')
      await look('numbers')
      await page.keyboard.press('Escape')
      // A broken socket comes back by itself, to the same seat.
      server.scenes.get('counsel').drop()
      await page.locator('.notice.warning').waitFor()
      await page.locator('.notice.warning').waitFor({ state: 'detached' })
    })
  }
  walk('waiting', { code: 'counsel-waiting', language }, async ({ page, look }) => {
    await press(page, /odotushuoneeseen|waiting room/)
    await page.locator('.waiting').waitFor()
    await page.getByText('Erik Lindqvist').last().waitFor()
    await look('room')
  })
  walk('sign-in', { code: 'interviewer-out', language }, async ({ look }) => look('page'))
}

for (const language of ['fi', 'en']) {
  for (const size of everySize) {
    const code = `officer-${language}-${size}`
    // B5: what may be a duplicate is a hint; officers settle it, by keyboard, with a note.
    walk('duplicates', { code, language, size }, async ({ page, look }) => {
      await page.getByText('REG-0004711').waitFor()
      await page.getByText(/Vihje, ei näyttö|A hint, not a proof/).waitFor()
      await page.getByText('412 / 380').waitFor()
      await page.getByText('MIG-2026-10481').waitFor() // as officers know the case
      // Every language of the kiosks has a name.
      for (const name of ['دری', 'Soomaali', 'Kurmancî']) await page.getByText(name).waitFor()
      await look('tasks')
      await press(page, /^Ratkaise|^Settle/)
      const task = page.locator('details[open]')
      const confirm = task.getByRole('button')
      assert.equal(await task.getByRole('radio', { checked: true }).count(), 0, 'no answer is suggested')
      await page.keyboard.press('Tab')
      await page.keyboard.press('Space')
      await page.keyboard.press('ArrowDown')
      assert.ok(await confirm.isDisabled(), 'not without a note')
      await page.keyboard.press('Tab')
      await page.keyboard.type('Vertasin kuvia')
      await look('settle')
      await press(page, /^Vahvista ratkaisu|^Settle it so/)
      await page.getByText('REG-0004711').waitFor({ state: 'detached' })
      const [visit, settled] = server.scenes.get(code).settled.at(-1)
      assert.match(visit, /^vis_/)
      assert.deepEqual(settled, { settlement: 'other-person', note: 'Vertasin kuvia' })
      // A lost search is made by hand; another officer was faster with it.
      await page.getByText(/rekisteri ei vastannut|register did not answer/).waitFor()
      server.scenes.get(code).late = true
      await press(page, /^Ratkaise|^Settle$/)
      await page.keyboard.press('Tab')
      await page.keyboard.press('Space')
      await page.keyboard.press('Tab')
      await page.keyboard.type('Hain rekisteristä')
      await press(page, /^Vahvista ratkaisu|^Settle it so/)
      await page.getByRole('alert').waitFor()
      await page.getByText(/ei odota virkailijaa|waits for an officer\./).waitFor()
      await look('none')
    })
    // B16: whether a certificate is genuine, in words.
    walk('certificate', { code, language, size }, async ({ page, look }) => {
      const field = page.getByLabel(/^Todistuksen koodi|^Code on the certificate/)
      const scan = async (text) => {
        await field.focus()
        await page.keyboard.insertText(text)
        await page.keyboard.press('Enter') // as scanners end a code
      }
      await scan('genuine')
      await page.getByText(/^Aito|^Valid/).waitFor()
      await page.getByText('Samir Haddad').waitFor()
      await look('valid')
      await scan(`${Buffer.from('{"alg":"ES256","typ":"kuule-pending-matter+jws"}').toString('base64url')}.e30.c2ln`)
      await page.getByText(/^Ei kelpaa|^Not valid/).waitFor()
      assert.equal(await page.getByText('Samir Haddad').count(), 0, 'what was asked before is gone')
      await look('altered')
      await scan('K7M2-9QXA-4RTB')
      await page.getByText(/^Tuntematon|^Unknown/).waitFor()
      await look('unknown')
    })
  }
}

// H6: a recording of three people, played: each sound on its own track, in step,
// from any moment, faster, and with its gap.
walk('listen', { code: 'interviewer-listen' }, async ({ page, look }) => {
  await writeRecording()
  await press(page, /^Pöytäkirja/)
  const person = { page, press: (name) => page.getByRole('button', { name }).first().press('Enter'), shot: look }
  console.log(`      ${await listen({ person, tones: { interviewer: 310, applicant: 430, interpreter: 550 }, until })}`)
})

// H7: copies: progress, stopping, what was downloaded, the passphrase apart and
// once, the receipt, and the administrator's permission.
for (const language of ['fi', 'en']) {
  for (const size of everySize) {
    walk('copies', { code: `interviewer-listen-${language}-${size}`, language, size }, async ({ page, look }) => {
      await writeRecording()
      const s = server.scenes.get(`interviewer-listen-${language}-${size}`)
      await press(page, /^Pöytäkirja|^Transcript/)
      await page.getByLabel(/^Käyttötarkoitus|^Purpose|^الغرض/).fill('Pöytäkirjan tarkastus')
      await press(page, /^Avaa tallenne|^Open the recording|^افتح التسجيل/)
      await page.locator('.player').waitFor()
      await press(page, /^Kopio tallenteesta|^A copy of the recording|^نسخة من التسجيل/)
      await page.locator('.copies').scrollIntoViewIfNeeded()
      await look('asked')
      const choose = async (index) => {
        await page.locator('.copies .select-button').first().press('Enter')
        await page.getByRole('option').nth(index).press('Enter')
      }
      await choose(1) // everybody in one file: slow here
      await page.getByText(/^Tämä kopio on avoin|^This copy is open|^هذه النسخة مفتوحة/).waitFor()
      const make = /^Tee ja lataa|^Make and download|^اصنع ونزّل/
      await press(page, make)
      await page.locator('.copies progress').waitFor()
      await until('the page shows how far it is', 30_000, async () => {
        const at = await page.locator('.copies progress').evaluate((p) => p.value)
        return [at > 0, at]
      })
      await look('making')
      await press(page, /^Keskeytä kopiointi|^Stop copying|^إيقاف النسخ/)
      await page.getByText(/^Kopiointi keskeytettiin|^Copying was stopped|^أُوقف النسخ/).waitFor()
      await choose(3) // one voice
      const [one] = await Promise.all([page.waitForEvent('download'), press(page, make)])
      assert.match(one.suggestedFilename(), /^01-[a-z-]+\.webm$/)
      await choose(0)
      await page.locator('.copies').getByLabel(/^Kenelle|^For whom|^لمن/).first().fill('Erik Lindqvist')
      const [sealed] = await Promise.all([page.waitForEvent('download'), press(page, make)])
      assert.equal(sealed.suggestedFilename(), 'recording.tar.age')
      await page.getByRole('dialog').waitFor()
      const passphrase = await page.locator('.passphrase code').innerText()
      assert.deepEqual(s.asked.filter(([what]) => what === 'copy').at(-1)[1], { form: 'sealed', to: 'Erik Lindqvist', passphrase })
      await look('passphrase')
      await page.keyboard.press('Escape')
      await page.getByRole('dialog').waitFor({ state: 'detached' })
      assert.ok(!(await page.content()).includes(passphrase), 'the passphrase is gone from the page')
      assert.equal(readFileSync(await sealed.path()).length, s.copies.at(-1).bytes)
      await page.getByText(s.copies.at(-1).sha256).waitFor()
      await page.locator('.copies').getByLabel(/^Vastaanottajan nimi|^Name of the receiver|^اسم المستلم/).fill('Erik Lindqvist')
      await look('made')
      await press(page, /^Kirjaa luovutus|^Note the hand-over|^سجّل التسليم/)
      await page.getByText(/^Luovutus on kirjattu|^The hand-over is noted|^سُجّل التسليم/).waitFor()
      assert.equal(s.handed.medium, s.copies.at(-1).sha256)
      // The administrator writes only what is released here, sealed for somebody else.
      await press(page, /^Ylläpitäjä kirjoittaa|^The administrator writes|^المسؤول يكتب/)
      await page.locator('.copies').getByLabel(/^Kenelle|^For whom|^لمن/).last().fill('Hallinto-oikeus')
      await press(page, /^Anna ylläpitäjän|^Let the administrator|^اسمح للمسؤول/)
      await page.getByRole('dialog').waitFor()
      await page.keyboard.press('Escape')
      await page.locator('.command').waitFor()
      assert.equal(s.released.to, 'Hallinto-oikeus')
      assert.match(s.released.passphrase, /^(\w{4}-){4}\w{4}$/)
      await look('released')
    })
  }
}

async function until(what, within, look) {
  const began = performance.now()
  for (;;) {
    const [ok, value] = await look()
    if (ok) return value
    if (performance.now() - began > within) throw new Error(`${what}: not within ${within} ms: ${JSON.stringify(value)}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

listeningWalks({ walk, scenes: server.scenes, press, until })

// The pages as they are released, with their own sealing: its worker starts
// under the policy, makes keys, and the room is asked for with them.
walk('released', { code: 'counsel', at: `http://pages.localhost:${released.port}` }, async ({ page }) => {
  await press(page, /odotushuoneeseen/)
  await page.locator('.waiting, .phase-bar').first().waitFor()
  const s = released.scenes.get('counsel')
  const offered = () => s.asked.find(([type]) => type === 'offer')?.[1]
  for (let i = 0; i < 300 && offered() === undefined; i++) await page.waitForTimeout(100)
  assert.match(s.statement.hpke_key, /^[\w-]{87}$/)
  assert.match(s.statement.sign_key, /^[\w-]{87}$/)
  assert.match(s.statement.dtls, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/)
  const offer = offered()
  // Voice, picture, and a place for a screen that nobody shows yet.
  assert.deepEqual(offer.tracks.map((t) => t.source), ['audio', 'video', 'screen'])
  assert.equal((offer.sdp.match(/^a=recvonly/gm) ?? []).length, 16)
  assert.match(offer.sdp, /cbr=1/)
  assert.doesNotMatch(offer.sdp, /ssrc-audio-level|video-layers-allocation|H264|AV1/)
  assert.match(offer.sdp, /a=rtpmap:63 red\/48000\/2/)
  assert.match(offer.sdp, /a=rtcp-fb:111 nack/)
  assert.match(offer.sdp, /a=simulcast:send f/)
  assert.match(offer.sdp, /dependency-descriptor/)
})

await walkAll()
await browser.close()
server.close()
released.close()
console.log(failed === 0 ? 'all pages walked' : `${failed} walks failed`)
process.exit(failed === 0 ? 0 : 1)
