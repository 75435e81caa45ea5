const paths = {
  check: 'M4 12.5 9.5 18 20 6.5',
  info: 'M12 11v6M12 7.2v.3M3 12a9 9 0 1 0 18 0 9 9 0 1 0-18 0',
  warning: 'M12 4 2.8 20h18.4L12 4Zm0 6v4.5M12 17.2v.3',
  down: 'm5 9 7 7 7-7',
  hand: 'M8 12V5.5a1.5 1.5 0 0 1 3 0V11m0-6.8a1.5 1.5 0 0 1 3 0V11m0-5a1.5 1.5 0 0 1 3 0v8.5a6.5 6.5 0 0 1-12 3.5l-2.3-4.3a1.5 1.5 0 0 1 2.6-1.5L8 15',
  pause: 'M8 5v14M16 5v14',
  record: 'M12 6a6 6 0 1 0 0 12 6 6 0 1 0 0-12Z',
  door: 'M6 21V3h12v18M3 21h18M14.5 12v.3',
  sound: 'M4 9.5v5h4l5 4v-13l-5 4H4ZM16.500 8.500a5 5 0 0 1 0 7M19 6a9 9 0 0 1 0 12',
  silent: 'M4 9.500v5h4l5 4v-13l-5 4H4ZM16.500 9.500l5 5m0-5-5 5',
  person: 'M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM4 21c.6-4 4-6 8-6s7.400 2 8 6',
  mic: 'M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3ZM6 11a6 6 0 0 0 12 0M12 17v4',
  micOff: 'M4 4l16 16M9 9v2a3 3 0 0 0 4.500 2.600M15 11.500V6a3 3 0 0 0-5.800-1M6 11a6 6 0 0 0 9.500 4.900M12 17v4',
  camera: 'M3 7h11v10H3ZM14 10.500l7-3.500v10l-7-3.500',
  cameraOff: 'M4 4l16 16M3 7h2M9.500 7H14v4.500M14 16v1H3V7M14 10.500l7-3.500v10l-4-2',
  screen: 'M3 5h18v11H3ZM9 20h6M12 16v4',
  play: 'M7 4.500v15l12-7.500-12-7.500Z',
  back: 'm11 5-7 7 7 7M20 5l-7 7 7 7',
  forward: 'm4 5 7 7-7 7M13 5l7 7-7 7',
  ear: 'M7 9a5.500 5.500 0 1 1 11 .5c0 3.500-4 4-4 7.500a3.500 3.500 0 0 1-6.500 1.800M10 9.500a2.500 2.500 0 1 1 5 0c0 1.500-2 2-2 3.500',
  chart: 'M4 20V4M4 20h16M8 16v-4M12 16V8M16 16v-6',
} as const

/** A small drawing beside words; it never stands alone. */
export function Icon({ name, size = 22 }: { name: keyof typeof paths; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" fill={name === 'record' ? 'currentColor' : 'none'} stroke="currentColor" strokeWidth="2.2" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  )
}
