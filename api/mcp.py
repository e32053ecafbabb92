"""The MCP classes under the name the specification gives their module."""

from racto.server.mcp import MCPServerConfig, RactoMCPServer

__all__ = ["MCPServerConfig", "RactoMCPServer"]
