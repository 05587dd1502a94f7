import { Box, Center, Group, Stack, Text } from "@mantine/core";
import { Outlet } from "react-router";
import { ColourScheme } from "./ColourScheme";
import { Logo } from "./Logo";

/** The frame of the pages for everybody. */
export function Public() {
  return (
    <Center mih="100dvh" p="md" component="main">
      <Box w="100%" maw={420}>
        <Stack gap="lg">
          <Group justify="space-between">
            <Group gap="xs">
              <Logo />
              <Text fw={700} size="lg">
                Firmlight
              </Text>
            </Group>
            <ColourScheme />
          </Group>
          <Outlet />
        </Stack>
      </Box>
    </Center>
  );
}
