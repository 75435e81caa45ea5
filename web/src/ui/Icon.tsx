const paths = {
  check: 'M4 12.5 9.5 18 20 6.5',
  info: 'M12 11v6M12 7.2v.3M3 12a9 9 0 1 0 18 0 9 9 0 1 0-18 0',
  warning: 'M12 4 2.8 20h18.4L12 4Zm0 6v4.5M12 17.2v.3',
  down: 'm5 9 7 7 7-7',
  hand: 'M8 12V5.5a1.5 1.5 0 0 1 3 0V11m0-6.8a1.5 1.5 0 0 1 3 0V11m0-5a1.5 1.5 0 0 1 3 0v8.5a6.5 6.5 0 0 1-12 3.5l-2.3-4.3a1.5 1.5 0 0 1 2.6-1.5L8 15',
  pause: 'M8 5v14M16 5v14',
  record: 'M12 6a6 6 0 1 0 0 12 6 6 0 1 0 0-12Z',
  door: 'M6 21V3h12v18M3 21h18M14.5 12v.3',
  person: 'M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM4 21c.6-4 4-6 8-6s7.400 2 8 6',
} as const

/** A small drawing beside words; it never stands alone. */
export function Icon({ name, size = 22 }: { name: keyof typeof paths; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" fill={name === 'record' ? 'currentColor' : 'none'} stroke="currentColor" strokeWidth="2.2" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  )
}
