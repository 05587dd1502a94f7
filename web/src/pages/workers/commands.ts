/** How to start a worker: what to do before, and the command to paste. */
export function commands(server: string, secret: string) {
  const env = `FIRMLIGHT_SERVER=${server} FIRMLIGHT_TOKEN=${secret}`;
  return [
    {
      value: "go",
      steps: [
        "Put the program “worker” on the computer; it needs nothing else.",
        "Paste this into a terminal where it lies:",
      ],
      command: `${env} ./worker --slots 2`,
    },
    {
      value: "python",
      steps: [
        "Install it once: pip install firmlight (Python 3.10 or newer).",
        "Paste this into a terminal:",
      ],
      command: `${env} firmlight-worker firmlight.workloads:worker --slots 2`,
    },
  ];
}
