import { MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "react-router";
import { worthRetrying } from "../api/client";
import { session } from "../api/session";
import { live } from "../live/live";
import { router } from "./router";
import { theme, variables } from "./theme";

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: Number.POSITIVE_INFINITY, // what changes is pushed
      gcTime: 60_000,
      refetchOnWindowFocus: false,
      retry: worthRetrying,
    },
  },
});

// What one user has read must not be shown to the next.
session.watch(() => {
  if (session.current().state !== "out") return;
  live.stop();
  queries.clear();
});

export function App() {
  return (
    <MantineProvider theme={theme} cssVariablesResolver={variables} defaultColorScheme="auto">
      <QueryClientProvider client={queries}>
        <Notifications position="bottom-right" limit={4} aria-live="polite" />
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>
  );
}
