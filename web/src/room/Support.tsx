import { useEffect, useState } from 'react'
import { useTexts } from '../i18n'
import type { RoomClient } from '../media/room'
import type { Flow } from '../media/stats'
import { Button, Dialog } from '../ui/controls'
import { Icon } from '../ui/Icon'

type Numbers = NonNullable<Awaited<ReturnType<RoomClient['numbers']>>>

const percent = (share: number) => `${(share * 100).toFixed(1)} %`
const kilo = (bits: number) => `${Math.round(bits / 1000)} kbit/s`

function line(f: Flow): string {
  const size = f.kind === 'video' ? ` ${f.width}x${f.height}@${Math.round(f.fps)}` : ''
  const trouble = f.out ? (f.limited === '' || f.limited === 'none' ? '' : ` limited by ${f.limited}`) : f.kind === 'audio' ? ` concealed ${percent(f.concealed)}` : ` frozen ${percent(f.frozen)}`
  return `${f.mid}${f.rid === '' ? '' : `/${f.rid}`} ${f.codec} ${kilo(f.bitrate)}${size} loss ${percent(f.loss)} jitter ${Math.round(f.jitter * 1000)} ms${trouble}${f.active ? '' : ' (resting)'}`
}

/** All numbers as text for support: no name, no place, no address. */
export function textOf({ path, flows, hints, health, state }: Numbers): string {
  const moving = flows.filter((f) => f.packets > 0 || (f.out && f.rid !== ''))
  return [
    `kuule ${new Date().toISOString()}`,
    `connection ${state}, ${health.own}, ${health.cipher}`,
    `path ${path.local} -> ${path.remote}, rtt ${Math.round(path.rtt * 1000)} ms, up ${kilo(path.available)}`,
    ...moving.filter((f) => f.out).map((f) => `out ${line(f)}`),
    ...moving.filter((f) => !f.out).map((f) => `in  ${line(f)}`),
    ...hints.map((h) => `hint packet ${h.packet_ms ?? 20} ms, ${kilo(h.bitrate ?? 0)}, red ${h.red === true ? 'on' : 'off'}, resting ${(h.unneeded ?? []).join(' ')}`),
  ].join('\n')
}

/** The statistics panel: by its button or Ctrl+Alt+K, read over the phone or copied. */
export function Support({ room }: { room: RoomClient }) {
  const { t } = useTexts()
  const [open, setOpen] = useState(false)
  const [text, setText] = useState('')
  const [copied, setCopied] = useState(false)
  useEffect(() => {
    const key = (e: KeyboardEvent) => {
      if (e.ctrlKey && e.altKey && e.code === 'KeyK') setOpen((is) => !is)
    }
    addEventListener('keydown', key)
    return () => removeEventListener('keydown', key)
  }, [])
  useEffect(() => {
    if (!open) return undefined
    const read = () => void room.numbers().then((n) => n !== null && setText(textOf(n)))
    read()
    const timer = setInterval(read, 2000)
    return () => clearInterval(timer)
  }, [open, room])
  const copy = () => void navigator.clipboard.writeText(text).then(() => setCopied(true), () => setCopied(false))
  return (
    <>
      <Button look="quiet" onPress={() => setOpen(true)}>
        <Icon name="chart" />
        {t('shared.support.open')}
      </Button>
      <Dialog
        title={t('shared.support.title')}
        open={open}
        onClose={() => {
          setOpen(false)
          setCopied(false)
        }}
      >
        <p>{t('shared.support.help')}</p>
        {/* One language for who reads it; it scrolls by keyboard. */}
        {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
        <pre className="numbers" dir="ltr" lang="en" tabIndex={0} aria-label={t('shared.support.title')}>
          {text}
        </pre>
        <div className="row">
          <Button onPress={copy}>{copied ? t('shared.support.copied') : t('shared.support.copy')}</Button>
          <Button look="quiet" onPress={() => setOpen(false)}>
            {t('shared.close')}
          </Button>
        </div>
      </Dialog>
    </>
  )
}
